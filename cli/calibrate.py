"""``hepdann calibrate``: which mismodelling turns MC into data, how large, how sure."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import tables
from .options import COMMA

if TYPE_CHECKING:
    from hepdann.calibration import CalibrationReport
    from hepdann.tensors import Source, Target, Tensors

__all__ = ["command"]


@click.command()
@click.argument("tensors", type=click.Path(path_type=Path), default="tensors.h5")
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option(
    "--family",
    "families",
    multiple=True,
    metavar="NAME",
    help="A shift, scale, offset or smear, of all features or as scale(pt, mass), several joined "
    "with +, or free; repeatable. Default: all shifts, and free.",
)
@click.option(
    "--hold-fractions", is_flag=True, help="Keep the class fractions of MC: do not fit them."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write calibration.json and figures."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def command(
    tensors: Path,
    data: Path | None,
    families: tuple[str, ...],
    hold_fractions: bool,
    output: Path | None,
    as_json: bool,
    seed: int,
) -> None:
    """Measure the mismodelling between MC and data in TENSORS (default: tensors.h5).

    Maps of the MC are fitted to the data, together with the class fractions of the data: each
    shift f(t), scales and smearings of a detector, a free map. A classifier, on events that the
    fit did not use, says what is left of the difference. No label of the data is looked at.
    """
    from hepdann.api import compared
    from hepdann.calibration import calibrate

    file, source, target = compared(tensors, data)
    found = calibrate(
        source,
        target,
        file.features,
        families=families or None,
        hold_fractions=hold_fractions,
        seed=seed,
    )
    if output is not None:
        _write(file, source, target, found, output)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2, allow_nan=False))
        return
    _show(found)
