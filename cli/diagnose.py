"""``hepdann diagnose``: is there a shift, and in which features."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hepdann.evaluation import Diagnosis

__all__ = ["command"]

_WIDTH = 110


@click.command()
@click.argument("tensors", type=click.Path(path_type=Path), default="tensors.h5")
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--max-events",
    type=click.IntRange(min=100),
    default=10_000,
    show_default=True,
    help="Rows of MC and of data, at most, that the test on all features uses.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def command(tensors: Path, data: Path | None, as_json: bool, max_events: int, seed: int) -> None:
    """Test whether MC and data in TENSORS (default: tensors.h5) differ.

    With DATA, the MC of TENSORS is compared with the data of that file.

    A classifier learns to tell MC from data on half of the events and is judged on the other
    half; the p-value comes from permutations. Both samples are first brought to a common
    granularity, so that rounding is not taken for a shift. No label is looked at.
    """
    from hepdann.evaluation import diagnose
    from hepdann.tensors import open_tensors

    file = open_tensors(tensors)
    holder = file if data is None else open_tensors(data)
    file.check_features(holder)
    found = diagnose(
        file.source(), holder.target(), file.features, seed=seed, max_events=max_events
    )
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2, allow_nan=False))
        return
    _show(found)


def _show(found: Diagnosis) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    test = found.test
    console.print(
        f"all features together: AUC {test.auc:.4f} ± {test.auc_error:.4f}, "
        f"p = {test.p_value:.2g} ({test.n_mc} MC and {test.n_target} data events)"
    )
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("feature", no_wrap=True)
    for column in ("KS distance", "p (corrected)", "mean shift / σ", "missing MC", "missing data"):
        table.add_column(column, justify="right")
    for feature in found.features:
        table.add_row(
            feature.name,
            _text(feature.ks, ".4f"),
            _text(feature.p_value, ".2g"),
            _text(feature.mean_shift, "+.3f"),
            _text(100 * feature.missing_mc, ".1f", " %"),
            _text(100 * feature.missing_target, ".1f", " %"),
            style="bold" if feature in found.differing else "",
        )
    console.print(table)
    console.print(found.sentence)


def _text(value: float, form: str, unit: str = "") -> str:
    return f"{value:{form}}{unit}" if math.isfinite(value) else "-"
