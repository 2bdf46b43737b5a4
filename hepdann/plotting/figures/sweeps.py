"""Figures against t or λ, a line a method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ..axes.frame import finish, new_axes
from ..axes.legend import GUIDE, ceiling
from ..axes.styles import MARKERS, banded, method_look, method_title, scaled

if TYPE_CHECKING:
    from ...evaluation.curves import Sweep

_ZOOM = (-0.04, 0.012)  # of the panel that shows how far below the oracle a method stays


def sweep(
    sweeps: Mapping[str, Sweep],
    figure: str,
    along: Literal["t", "lambda"],
    *,
    below: Mapping[str, Sweep] | None = None,
    level: tuple[str, float] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    below_ax: Axes | None = None,
) -> Axes:
    """A line a method; the standard deviation over networks of two is a band, of others bars.

    Args:
        sweeps: by method. One without x (NaN) is drawn as a level across.
        figure: label of the y axis.
        along: what x is.
        below: the same less the oracle, for a panel of its own that zooms on the best.
        level: name and height of a reference line, e.g. the majority class.
        title: heads the legend.
        ax: where to draw; by default a new figure, with the panel if ``below`` is given.
        below_ax: where to draw ``below``, with ``ax``.
    """
    if ax is None:
        ax, *more = new_axes((1.7, 1.0), height=7.0) if below else new_axes()
        below_ax = more[0] if more else None
    looks = method_look(list(sweeps))
    ticks = sorted({float(x) for s in sweeps.values() for x in s.x if np.isfinite(x)})
    span = _span(ticks, along)
    if level is not None:
        name, height = level
        ax.axhline(height, color="black", linewidth=scaled(1.2), linestyle=(0, (1, 2)), label=name)
    _lines(ax, sweeps, looks, span, labelled=True)
    ax.set_ylabel(figure)
    bottom = ax
    if below_ax is not None and below:
        below_ax.axhline(0.0, color="black", linewidth=scaled(1.0), linestyle=":", gid=GUIDE)
        _lines(below_ax, below, looks, span, labelled=False)
        below_ax.set_ylim(*_ZOOM)
        below_ax.set_ylabel("minus oracle", loc="center")
        bottom = below_ax
    _x_axis(bottom, ticks, along, span)
    ax.margins(y=0.06)
    ax.autoscale(axis="y")
    low, high = ax.get_ylim()
    largest = max(
        (float(np.nanmax(s.mean + s.std, initial=0.0)) for s in sweeps.values()), default=0
    )
    if largest <= 1.0:  # shares end at 1
        ax.set_ylim(low, min(high, 1.0))
        ceiling(ax, 1.0)
    finish(ax, title)
    return ax


def _lines(
    ax: Axes,
    sweeps: Mapping[str, Sweep],
    looks: Mapping[str, tuple[str, object]],
    span: tuple[float, float],
    *,
    labelled: bool,
) -> None:
    for number, (method, line) in enumerate(sweeps.items()):
        colour, dashes = looks[method]
        x, mean, std = line.x, line.mean, line.std
        level = not np.isfinite(x).any()
        if level:
            x, mean, std = (np.array(v) for v in (span, np.repeat(mean, 2), np.repeat(std, 2)))
        ax.plot(
            x,
            mean,
            color=colour,
            linestyle=dashes,
            marker="" if level else MARKERS[number % len(MARKERS)],
            label=method_title(method) if labelled else None,
        )
        if not np.any(std > 0):
            continue
        if level or method in banded(list(sweeps)):
            ax.fill_between(x, mean - std, mean + std, color=colour, alpha=0.2, linewidth=0)
        else:
            ax.errorbar(x, mean, yerr=std, fmt="none", color=colour, elinewidth=scaled(1.3))


def _span(ticks: list[float], along: str) -> tuple[float, float]:
    if not ticks:
        return 0.0, 1.0
    low, high = ticks[0], ticks[-1]
    if along == "lambda":
        return (low / 1.4, high * 1.4) if low > 0 else (0.0, high * 1.4)
    room = 0.04 * (high - low) or 0.5
    return low - room, high + room


def _x_axis(ax: Axes, ticks: list[float], along: str, span: tuple[float, float]) -> None:
    if along == "lambda" and ticks and ticks[-1] > 0:
        if ticks[0] > 0:
            ax.set_xscale("log")
        else:
            ax.set_xscale("symlog", linthresh=next(t for t in ticks if t > 0))
    ax.set_xlim(*span)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel(r"$\lambda$" if along == "lambda" else "t (larger: smaller shift)")
