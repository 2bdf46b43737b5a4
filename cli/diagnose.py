"""``hepdann diagnose``: is there a shift, and in which features."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import tables
from .options import PATH, look_of_figures, shared

if TYPE_CHECKING:
    from hepdann.config import PlotConfig
    from hepdann.evaluation import Diagnosis
    from hepdann.tensors import Source, Target, Tensors

_FIGURES = 8  # features that are drawn at most


@click.command()
@click.argument("tensors", type=PATH, default="tensors.h5")
@click.argument("data", type=PATH, required=False)
@shared("json")
@click.option(
    "--max-events", type=click.IntRange(min=100), default=10_000, show_default=True,
    help="Rows of MC and of data, at most, that the test on all features uses.",
)  # fmt: skip
@click.option(
    "--plots", type=PATH, metavar="DIR",
    help="Draw which features differ, and data against MC in the first of them, into DIR.",
)  # fmt: skip
@shared("style", "experiment", "text")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def command(
    tensors: Path, data: Path | None, as_json: bool, max_events: int, plots: Path | None, seed: int,
    **look: str | None,
) -> None:  # fmt: skip
    """Test whether MC and data in TENSORS (default: tensors.h5) differ.

    With DATA, the MC of TENSORS is compared with the data of that file.

    A classifier learns to tell MC from data on half of the events and is judged on the other
    half; the p-value comes from permutations. Both samples are first brought to a common
    granularity, so that rounding is not taken for a shift. Where they differ, a quick classifier
    of the MC's classes shows what that does to a score, whether other class fractions explain it,
    and whether a map of each feature removes it. No label of the data is looked at. Of images, the
    sums of energies and hits and the planes that they reach are compared, for each view.
    """
    figures = look_of_figures(plots, "--plots", **look)
    from hepdann.api import compared
    from hepdann.evaluation import diagnose

    file, source, target = compared(tensors, data)
    diagnosis = diagnose(
        source, target, file.features, seed=seed, max_events=max_events, alignable=file.tabular
    )
    made = [] if plots is None else _draw(file, source, target, diagnosis, plots, figures)
    if as_json:
        tables.echo_json(diagnosis.to_json())
        return
    _show(diagnosis)
    if file.views:
        click.echo("these features sum images up, of which networks see the pixels")
    if made:
        click.echo(f"figures in {plots}: {', '.join(dict.fromkeys(f.stem for f in made))}")


def _draw(
    file: Tensors,
    source: Source,
    target: Target,
    diagnosis: Diagnosis,
    folder: Path,
    figures: PlotConfig,
) -> list[Path]:
    """The overview, and the features that differ; the first three if none does."""
    from hepdann.evaluation import compare_feature
    from hepdann.plotting import plot_diagnosis

    names = [f.name for f in diagnosis.differing or diagnosis.features[:3]][:_FIGURES]
    classes, looks = look_of(file)
    comparisons = {
        name: compare_feature(source, target, file.features.index(name), classes) for name in names
    }
    return plot_diagnosis(diagnosis.features, comparisons, folder, config=figures, **looks)


def look_of(file: Tensors) -> tuple[list[str], dict[str, Any]]:
    """Names of the classes in figures, and titles and units of the features."""
    from hepdann.plotting.axes.styles import readable

    looks = zip(file.class_looks("title"), file.classes, strict=True)
    titles = {
        name: str(entry.get("title") or name)
        for name, entry in zip(file.features, file.feature_info, strict=True)
    }
    units = dict(zip(file.features, file.units, strict=True))
    return [readable(title or name) for title, name in looks], {"titles": titles, "units": units}


def _show(diagnosis: Diagnosis) -> None:
    console = tables.console()
    test = diagnosis.test
    console.print(
        f"all features together: AUC {test.auc:.4f} ± {test.auc_error:.4f}, "
        f"p = {test.p_value:.2g} ({test.n_mc} MC and {test.n_target} data events)"
    )
    table = tables.table(None, "feature", "KS", "p", "Wasserstein / σ", "p", "mean shift / σ",
                         "missing MC", "data")  # fmt: skip
    for feature in diagnosis.features:
        table.add_row(
            feature.name,
            _text(feature.ks, ".4f"),
            _text(feature.p_value, ".2g"),
            _text(feature.wasserstein, ".3f"),
            _text(feature.wasserstein_p_value, ".2g"),
            _text(feature.mean_shift, "+.3f"),
            _text(100 * feature.missing_mc, ".1f", " %"),
            _text(100 * feature.missing_target, ".1f", " %"),
            style="bold" if feature in diagnosis.differing else "",
        )
    console.print(table)
    for closure in diagnosis.closures:
        console.print(f"after {closure.map}: AUC {closure.auc.value:.4f} ± {closure.auc.error:.4f}")
    console.print(diagnosis.sentence)


def _text(value: float, form: str, unit: str = "") -> str:
    return f"{value:{form}}{unit}" if math.isfinite(value) else "-"
