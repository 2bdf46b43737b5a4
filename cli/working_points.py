"""Working points for people and programs: the table of ``hepdann evaluate --working-points``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from . import tables

if TYPE_CHECKING:
    from hepdann.evaluation import PointRow
    from hepdann.stats import Figure

__all__ = ["shares", "show", "to_json"]

_WIDTH = 130  # of a table that goes to a file or a pipe


def shares(ctx: click.Context, param: click.Parameter, value: str | None) -> list[float] | None:
    """Signal efficiencies, each between 0 and 1, from ``0.6,0.7``."""
    del ctx, param
    if value is None:
        return None
    try:
        found = [float(word) for word in value.split(",") if word.strip()]
    except ValueError:
        found = []
    if not found or not all(0 < share < 1 for share in found):
        raise click.BadParameter("expected numbers between 0 and 1, such as 0.6,0.7")
    return found


def to_json(rows: Sequence[PointRow]) -> list[dict[str, Any]]:
    """The rows as JSON has them; a figure that cannot exist is ``None``."""
    return [
        {
            "method": row.method,
            "signal": row.signal,
            "efficiency": row.point.efficiency,
            "threshold": _number(row.point.threshold),
            "mc": _pair(row.point.mc),
            "target": _pair(row.point.target),
            "scale_factor": _pair(row.point.scale_factors),
            "target_passing": _figure(row.point.passing),
        }
        for row in rows
    ]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _figure(figure: Figure) -> dict[str, float | None]:
    return {"value": _number(figure.value), "error": _number(figure.error)}


def _pair(pair: tuple[Figure, Figure] | None) -> dict[str, Any] | None:
    if pair is None:
        return None
    return {"signal": _figure(pair[0]), "background": _figure(pair[1])}


def show(rows: Sequence[PointRow]) -> None:
    """Print a table, the scale factors where the truth of the target is known."""
    console = tables.console(_WIDTH)
    table = tables.table(
        "Working points: thresholds set on MC's validation split, test splits counted"
    )
    known = any(row.point.target is not None for row in rows)
    several = len({row.signal for row in rows}) > 1
    titles = ["method", *(["class"] if several else []), "point", "threshold", "MC signal",
              "MC background", "target passing"]  # fmt: skip
    titles += ["SF signal", "SF background"] if known else []
    for title in titles:
        table.add_column(title, no_wrap=True, justify="left" if title == "method" else "right")
    last = ""
    for row in rows:
        if last and row.method != last:
            table.add_section()
        point = row.point
        cells = [row.method if row.method != last else "", *([row.signal] if several else [])]
        last = row.method
        cells += [f"{100 * point.efficiency:g} %", f"{point.threshold:.4f}"]
        cells += [_text(figure) for figure in (*point.mc, point.passing)]
        if known:
            cells += [_text(figure) for figure in point.scale_factors or ()]
        table.add_row(*cells)
    console.print(table)
    if known:
        console.print("SF: efficiency in the target over that in MC")


def _text(figure: Figure) -> str:
    if not math.isfinite(figure.value):
        return "-"
    return f"{figure.value:.4f} ± {figure.error:.4f}"
