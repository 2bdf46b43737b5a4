"""``hepdann calibrate``: which mismodelling turns MC into data, how large, how sure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import tables
from .diagnose import look_of
from .options import PATH, look_of_figures, separate, shared
from .workingpoints import number_of

if TYPE_CHECKING:
    from hepdann.calibration import CalibrationReport
    from hepdann.config import PlotConfig
    from hepdann.tensors import Source, Target, Tensors


@click.command()
@click.argument("tensors", type=PATH, default="tensors.h5")
@click.argument("data", type=PATH, required=False)
@click.option(
    "--family", "families", multiple=True, metavar="NAME",
    help="A shift, scale, offset or smear, of all features or as scale(pt, mass), several joined "
    "with +; free; refiner; none. Repeatable, takes commas.  [default: all shifts, and free]",
)  # fmt: skip
@click.option("--hold-fractions", is_flag=True,
              help="Keep the class fractions of MC: do not fit them.")  # fmt: skip
@click.option("-o", "--output", type=PATH, metavar="DIR",
              help="Write calibration.json and figures.")  # fmt: skip
@shared("style", "experiment", "text")
@shared("json")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def command(
    tensors: Path, data: Path | None, families: tuple[str, ...], hold_fractions: bool,
    output: Path | None, as_json: bool, seed: int, **look: str | None,
) -> None:  # fmt: skip
    """Measure the mismodelling between MC and data in TENSORS (default: tensors.h5).

    With DATA, the MC of TENSORS is compared with the data of that file.

    Maps of the MC are fitted to the data, together with the class fractions of the data: each
    shift f(t), scales and smearings of a detector, a free map. A classifier, on events that the
    fit did not use, says what is left of the difference, and the simplest map is taken of those
    that leave equally little. No label of the data is looked at.
    """
    figures = look_of_figures(output, "-o", **look)
    from hepdann.api import calibration_of, compared

    file, source, target = compared(tensors, data, mapped=True)
    source, report = calibration_of(
        file, source, target, families=separate(families) or None, hold_fractions=hold_fractions,
        seed=seed,
    )  # fmt: skip
    if output is not None:
        _write(file, source, target, report, output, figures)
    if as_json:
        tables.echo_json(report.to_json())
        return
    _show(report)
    if output is not None:
        other = report.shown.name != report.calibration.name
        what = f", of MC after {report.shown.name}" * other
        click.echo(f"calibration.json and figures in {output}{what}")


def _write(
    file: Tensors,
    source: Source,
    target: Target,
    report: CalibrationReport,
    folder: Path,
    figures: PlotConfig,
) -> None:
    """What was measured, and data against MC before and after in the events of no fit."""
    import numpy as np

    from hepdann.evaluation import compare_feature
    from hepdann.outputs import write_whole
    from hepdann.plotting import plot_calibration

    mc = source.take(np.flatnonzero(source.split != 0))
    held_out = target.take(np.flatnonzero(target.split != 0))
    calibrated = report.shown.calibrated(mc)
    classes, looks = look_of(file)
    pairs = {
        name: (
            compare_feature(mc, held_out, index, classes),
            compare_feature(calibrated, held_out, index, classes),
        )
        for index, name in enumerate(file.features)
    }
    plot_calibration(report.profiles, pairs, folder, config=figures, **looks)
    content = report.to_json()
    content["shown"] = report.shown.name
    content["features"] = {
        name: {
            when: {"chi2": numbers.chi2, "ndf": numbers.ndf, "p_value": number_of(numbers.p_value)}
            for when, (numbers, _) in zip(("before", "after"), pair, strict=True)
        }
        for name, pair in pairs.items()
    }
    text = json.dumps(content, indent=2, allow_nan=False)
    write_whole(folder / "calibration.json", text.encode() + b"\n")


def _show(report: CalibrationReport) -> None:
    console = tables.console()
    table = tables.table(None, "family", "parameters", "distance", "AUC that is left")
    table.add_column("fitted")
    for one in report.candidates:
        fitted = [
            f"{name} = {tables.plus_minus(figure.value, figure.error)}"
            for name, figure in one.values.items()
            if not name.startswith("1/t")
        ]
        table.add_row(
            one.name,
            str(one.count),
            f"{one.distance:.2g}",
            "-" if one.auc is None else tables.plus_minus(one.auc.value, one.auc.error),
            ", ".join(fitted),
            style="bold" if one.name == report.calibration.name else "",
        )
    console.print(table)
    chosen = report.calibration
    columns = (chosen.classes, chosen.fractions, chosen.fraction_error, chosen.mc_fractions)
    shares = [
        f"{name} {100 * share:.1f}{'' if report.held else f' ± {100 * error:.1f}'} % "
        f"({100 * mc:.1f} % in MC)"
        for name, share, error, mc in zip(*columns, strict=True)
    ]
    word = ", held: they and a flexible map cannot both be measured"
    held = (
        (word if chosen.name in ("free", "refiner") else ", held as asked") if report.held else ""
    )
    console.print(f"class fractions of the data: {', '.join(shares)}{held}")
    console.print(report.sentence)
