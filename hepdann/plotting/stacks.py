"""Data against MC: stacked processes with a ratio panel, and score distributions by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from .frame import finish, new_axes, take_out_exponent
from .headroom import GUIDE
from .styles import class_colours

if TYPE_CHECKING:
    from ..evaluation import DataMC, Histogram

__all__ = ["OUTSIDE", "data_mc", "scores"]

Floats = NDArray[np.float64]

OUTSIDE = "outside"  # group id of the arrows that stand for points outside the ratio panel

_RANGES = (0.1, 0.2, 0.5, 1.0)  # half-heights of a ratio panel
_BAND: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": "0.25",
    "hatch": "/////",
    "linewidth": 0.0,
}


def _wants_log(histogram: Histogram, spike: float) -> bool:
    """Whether the fullest bin is so far above the middle one that a linear axis hides the rest."""
    filled = histogram.sumw[histogram.sumw > 0]
    return len(filled) > 2 and float(filled.max()) > spike * float(np.median(filled))


def _points(ax: Axes, numbers: DataMC, y: Floats, error: Floats, label: str | None) -> None:
    edges = numbers.edges
    centre = 0.5 * (edges[1:] + edges[:-1])
    # An empty bin has an upper limit only; in a stack of data it is customarily left out.
    shown = np.isfinite(y) & (numbers.data.sumw2 > 0)
    ax.errorbar(
        centre[shown],
        y[shown],
        yerr=error[:, shown],
        fmt="o",
        color="black",
        markersize=5.0 if len(centre) <= 50 else 3.5,
        elinewidth=1.3,
        label=label,
        zorder=5,
    )


def _ratio_range(numbers: DataMC) -> float:
    """The smallest of the usual half-heights that shows nine points of ten with their bars."""
    off = np.abs(numbers.ratio - 1) + numbers.ratio_error.max(axis=0)
    off = off[np.isfinite(off) & (numbers.data.sumw2 > 0)]
    if not len(off):
        return 0.5
    needed = float(np.quantile(off, 0.9))
    return next((half for half in _RANGES if needed <= half), _RANGES[-1])


def _draw_ratio(ax: Axes, numbers: DataMC, data_name: str) -> None:
    half = _ratio_range(numbers)
    low, high = 1 - half, 1 + half
    band = np.nan_to_num(numbers.ratio_band)
    ax.stairs(1 + band, numbers.edges, baseline=1 - band, fill=True, **_BAND)
    ax.axhline(1.0, color="black", linewidth=1.0, linestyle=":", gid=GUIDE)
    _points(ax, numbers, numbers.ratio, numbers.ratio_error, None)
    centre = 0.5 * (numbers.edges[1:] + numbers.edges[:-1])
    # Data where no MC is: infinitely far above.
    ratio = np.where(np.isnan(numbers.ratio), np.inf, numbers.ratio)
    seen = numbers.data.sumw > 0
    for beyond, edge, marker in ((ratio > high, high, "^"), (ratio < low, low, "v")):
        at = centre[beyond & seen]
        if len(at):
            inset = edge + (0.06 if marker == "v" else -0.06) * 2 * half
            ax.plot(at, np.full(len(at), inset), marker, color="#bd1f01", markersize=7, gid=OUTSIDE)
    ax.set_ylim(low, high)
    ax.set_yticks([low + half / 2, 1.0, high - half / 2])
    gap = "\n" if len(data_name) > 6 else " "  # a long name would reach beyond the panel
    ax.set_ylabel(f"{data_name}{gap}/ MC", loc="center")


def _y_axis(ax: Axes, numbers: DataMC, *, log: bool, top: Floats, unit: str) -> None:
    width = np.diff(numbers.edges)
    label = "Events / bin"
    if np.allclose(width, width[0]) and float(f"{width[0]:.2g}") == float(f"{width[0]:.6g}"):
        label = f"Events / {width[0]:.2g} {unit}".rstrip()
        if not unit and width[0] == 1.0:
            label = "Events"
    largest = float(np.nanmax(top, initial=0.0)) or 1.0
    if log:
        positive = top[top > 0]
        smallest = float(positive.min(initial=1.0))
        ax.set_yscale("log")
        ax.set_ylim(
            0.4 * min(max(smallest, 1e-5 * largest), 1.0 if smallest > 0.5 else smallest),
            2 * largest,
        )
        ax.set_ylabel(label)
    else:
        lowest = min(0.0, 1.2 * float(np.nanmin(numbers.mc.sumw, initial=0.0)))
        ax.set_ylim(lowest, 1.08 * largest)
        take_out_exponent(ax.yaxis, label, largest)


def _x_axis(ax: Axes, numbers: DataMC, name: str, unit: str) -> None:
    edges = numbers.edges
    ax.set_xlim(float(edges[0]), float(edges[-1]))
    whole = np.allclose(edges % 1.0, 0.5) and np.allclose(np.diff(edges), 1.0)
    if whole:  # integers in bins of their own
        ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel(f"{name} [{unit}]" if unit else name)
        return
    take_out_exponent(ax.xaxis, f"{name} [{unit}]" if unit else name, float(np.abs(edges).max()))


def _notes(title: str, numbers: DataMC, data_name: str, folded: bool) -> str:
    """What a reader must know beside the legend's entries, a line each."""
    lines = [title] if title else []
    if numbers.scale != 1.0:
        lines.append(f"MC scaled to {_short(data_name).lower()}")
    if folded:
        lines.append("end bins: incl. under-/overflow")
    shares = [
        100 * part.missing[0] / part.total.value if part.total.value > 0 else 0.0
        for part in (numbers.mc, numbers.data)
    ]
    if max(shares) >= 0.05:
        lines.append(f"missing: MC {shares[0]:.2g}%, {_short(data_name).lower()} {shares[1]:.2g}%")
    return "\n".join(lines)


def _short(data_name: str) -> str:
    return data_name.split(",")[0]


def _draw_stack(ax: Axes, numbers: DataMC, titles: Sequence[str], given: Mapping[str, str]) -> None:
    colours = {**class_colours(numbers.names), **given}
    height = np.cumsum([part.sumw for part in numbers.stack], axis=0)
    base = np.zeros_like(numbers.mc.sumw)
    # From the top of the stack, so that the legend has its order.
    for i in reversed(range(len(numbers.stack))):
        below = height[i - 1] if i else base
        ax.stairs(
            height[i],
            numbers.edges,
            baseline=below,
            fill=True,
            facecolor=colours[numbers.names[i]],
            edgecolor="black",
            linewidth=0.6,
            label=titles[i],
        )
    mc, error = numbers.mc.sumw, numbers.mc.error
    ax.stairs(
        mc + error, numbers.edges, baseline=mc - error, fill=True, label="MC stat. error", **_BAND
    )


def data_mc(
    numbers: DataMC,
    name: str,
    *,
    unit: str = "",
    data_name: str = "Data",
    titles: Sequence[str] | None = None,
    colours: Mapping[str, str] | None = None,
    title: str = "",
    folded: bool = False,
    log: bool | None = None,
    ax: Axes | None = None,
    ratio_ax: Axes | None = None,
) -> Axes:
    """Data points over the stack of MC processes, and their ratio.

    Args:
        numbers: from :func:`hepdann.evaluation.data_mc`.
        name: the quantity, for the axis.
        unit: of the quantity.
        data_name: what the points are; before its first comma in the ratio's label.
        titles: legend entry of each process; by default their names.
        colours: of processes, by name; the others take the next of the cycle.
        title: heads the legend.
        folded: the end bins hold what is outside, and the legend says so.
        log: logarithmic y axis; by default where one spike would hide all else.
        ax: where to draw; by default a new figure with a ratio panel.
        ratio_ax: where to draw data / MC; with ``ax`` alone, nowhere. A point outside the panel
            becomes an arrow at its edge.

    Returns:
        The axes of the stack.
    """
    if ax is None:
        ax, ratio_ax = new_axes((2.6, 1.0), height=7.0)
    _draw_stack(ax, numbers, numbers.names if titles is None else titles, colours or {})
    _points(ax, numbers, numbers.data.sumw, numbers.data_error, data_name)
    mc, error = numbers.mc.sumw, numbers.mc.error
    log = _wants_log(numbers.mc, 30) if log is None else log
    top = np.maximum(mc + error, numbers.data.sumw + numbers.data_error[1])
    _y_axis(ax, numbers, log=log, top=top, unit=unit)
    _x_axis(ax if ratio_ax is None else ratio_ax, numbers, name, unit)
    if ratio_ax is not None:
        ax.set_xlim(ratio_ax.get_xlim())
        _draw_ratio(ratio_ax, numbers, _short(data_name))
    finish(ax, _notes(title, numbers, data_name, folded))
    return ax


def scores(
    numbers: DataMC,
    name: str = "Score",
    *,
    data_name: str = "Data",
    title: str = "",
    log: bool | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Score of each MC class, filled and side by side, and of the target, as points.

    Args:
        numbers: from :func:`hepdann.evaluation.data_mc`, the classes as processes; normalised to
            the target, so that the sum of the classes can be compared with the points.
        name: of the score.
        data_name: what the points are.
        title: heads the legend: which method.
        log: logarithmic y axis; by default where one spike would hide all else.
        ax: where to draw; by default a new figure.

    Returns:
        The axes.
    """
    if ax is None:
        (ax,) = new_axes()
    colours = class_colours(numbers.names)
    for i in reversed(range(len(numbers.stack))):
        ax.stairs(
            numbers.stack[i].sumw,
            numbers.edges,
            fill=True,
            alpha=0.55,
            facecolor=colours[numbers.names[i]],
            edgecolor=colours[numbers.names[i]],
            linewidth=1.5,
            label=f"MC {numbers.names[i]}",
        )
    mc, error = numbers.mc.sumw, numbers.mc.error
    ax.stairs(mc, numbers.edges, color="black", linewidth=1.3, label="MC total")
    ax.stairs(mc + error, numbers.edges, baseline=mc - error, fill=True, **_BAND)
    _points(ax, numbers, numbers.data.sumw, numbers.data_error, data_name)
    log = _wants_log(numbers.mc, 10) if log is None else log
    top = np.maximum(mc + error, numbers.data.sumw + numbers.data_error[1])
    _y_axis(ax, numbers, log=log, top=top, unit="")
    _x_axis(ax, numbers, name, "")
    finish(ax, _notes(title, numbers, data_name, folded=False))
    return ax
