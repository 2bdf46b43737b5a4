"""``hepdann workingpoints``: thresholds by signal efficiency; also ``evaluate``'s table of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import tables
from .options import PATH, numbers, words
from .tables import figure

if TYPE_CHECKING:
    from hepdann.evaluation import PointRow
    from hepdann.stats import Figure

_WIDTH = 165  # of a table that goes to a file or a pipe


def shares(ctx: click.Context, param: click.Parameter, value: str | None) -> list[float] | None:
    """Signal efficiencies, each between 0 and 1, from ``0.6,0.7``."""
    try:
        efficiencies = numbers(ctx, param, value)
    except click.BadParameter:
        efficiencies = []
    if efficiencies is None:
        return None
    if not efficiencies or not all(0 < share < 1 for share in efficiencies):
        raise click.BadParameter("expected numbers between 0 and 1, such as 0.6,0.7")
    return efficiencies


@click.command()
@click.argument("run", type=PATH)
@click.option("--efficiency", metavar="E,…", default="0.6,0.7,0.8", show_default=True,
              callback=shares, help="Signal efficiencies.")  # fmt: skip
@click.option("--method", "methods", multiple=True, callback=words, metavar="M,…",
              help="Methods.  [default: the recommended one]")  # fmt: skip
@click.option("--signal", metavar="CLASS", help="Of this class.  [default: all but the first]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, laid out as the file.")
def command(
    run: Path, efficiency: list[float], methods: list[str], signal: str | None, as_json: bool
) -> None:
    """Set thresholds on the score of RUN by their signal efficiency in MC, and store them in RUN.

    MC's validation split sets them, and its test split is counted; of a run in folds both are all
    events, each scored by the networks that did not see it. Without a label of the target,
    each comes with the threshold that as large a share of the target passes as is expected.
    """
    from hepdann.evaluation import open_scores, point_rows
    from hepdann.store.reading import read_metrics
    from hepdann.store.working_points import WorkingPoints, write_working_points

    chosen = methods or [str(read_metrics(run).recommended)]
    scores = open_scores(run)
    rows = point_rows(scores, efficiency, methods=chosen, signal=signal)
    points = [row.stored() for row in rows]
    path = write_working_points(run, points)
    if as_json:
        content = WorkingPoints(points=points).model_dump(mode="json")
        tables.echo_json(content)
        return
    show(rows, folds=scores.folds > 0)
    click.echo(f"written: {path}")


def to_json(rows: Sequence[PointRow]) -> list[dict[str, Any]]:
    """The rows as ``evaluate`` prints them: with scale factors where the truth is known."""
    return [
        row.stored().model_dump(mode="json")
        | {
            "threshold": number_of(row.point.threshold),
            "target": _pair(row.point.target),
            "scale_factor": _pair(row.point.scale_factors),
        }
        for row in rows
    ]


def _pair(pair: tuple[Figure, Figure] | None) -> dict[str, Any] | None:
    if pair is None:
        return None
    numbers = [{"value": number_of(one.value), "error": number_of(one.error)} for one in pair]
    return dict(zip(("signal", "background"), numbers, strict=True))


def number_of(value: float) -> float | None:
    """The number as JSON has it."""
    return value if math.isfinite(value) else None


def show(rows: Sequence[PointRow], *, folds: bool) -> None:
    """Print a table, with scale factors where the truth of the target is known."""
    console = tables.console(_WIDTH)
    events = "thresholds set on the validation splits, test splits counted"
    table = tables.table(f"Working points: {'all events, out of fold' if folds else events}")
    known = any(row.point.target is not None for row in rows)
    several = len({row.signal for row in rows}) > 1
    titles = ["method", *(["class"] if several else []), "point", "threshold", "MC signal",
              "MC background", "target passing", "expected", "target threshold"]  # fmt: skip
    titles += ["SF signal", "SF background"] if known else []
    for title in titles:
        narrow = title in ("target passing", "target threshold", "SF signal", "SF background")
        table.add_column(
            title.replace(" ", "\n") if narrow else title,
            no_wrap=title == "method",
            justify="left" if title == "method" else "right",
        )
    last = ""
    for row in rows:
        if last and row.method != last:
            table.add_section()
        point, corrected = row.point, row.point.corrected
        cells = [row.method if row.method != last else "", *([row.signal] if several else [])]
        last = row.method
        threshold = figure(point.threshold, point.threshold_error, 3)
        cells += [f"{100 * point.efficiency:g} %", threshold]
        cells += [_text(one) for one in (*point.mc, point.passing)]
        if corrected is not None:
            cells += [_text(corrected.expected), figure(corrected.value, corrected.error, 3)]
        if known:
            cells += [_text(one) for one in point.scale_factors or ()]
        table.add_row(*cells)
    console.print(table)
    console.print("target threshold: the one that the expected share of the target passes")
    if known:
        console.print("SF: efficiency in the target over that in MC, both at MC's threshold")


def _text(one: Figure) -> str:
    return figure(one.value, one.error, 3)
