"""The axes of a stack, and what stands below it: ratio of data to MC, or pulls; the data points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..axes.frame import take_out_exponent, whole_ticks
from ..axes.legend import GUIDE, ceiling
from ..axes.styles import scaled

if TYPE_CHECKING:
    from ...evaluation import DataMC
    from ...stats import Histogram

Floats = NDArray[np.float64]

_ROOM = 1.4  # length of a shared axis, in that of the largest content: the legend's place


@dataclass(frozen=True)
class Scale:
    """The y axes that several figures share: contents above zero, and limits of the ratio."""

    log: bool
    smallest: float
    largest: float
    ratio: tuple[float, float]


def common_scale(figures: Sequence[DataMC], log: bool | None = None) -> Scale:
    """What suits all of the figures; ``log`` as in :func:`scores`."""
    tops = np.concatenate([highest(numbers) for numbers in figures])
    ratios = [ratio_limits(numbers) for numbers in figures]
    return Scale(
        any(wants_log(numbers.mc, 10) for numbers in figures) if log is None else log,
        float(tops[tops > 0].min(initial=1.0)),
        float(np.nanmax(tops, initial=0.0)) or 1.0,
        (min(low for low, _ in ratios), max(high for _, high in ratios)),
    )


def wants_log(histogram: Histogram, spike: float) -> bool:
    """Whether the fullest bin is so far above the middle one that a linear axis hides the rest."""
    filled = histogram.sumw[histogram.sumw > 0]
    return len(filled) > 2 and float(filled.max()) > spike * float(np.median(filled))


def highest(numbers: DataMC) -> Floats:
    """(B,) the larger of MC and data in each bin, their errors included."""
    data = np.nan_to_num(numbers.data.sumw + numbers.data_error[1])
    return np.asarray(np.maximum(numbers.mc.sumw + numbers.mc.error, data))


def _per_bin(edges: Floats, unit: str) -> str:
    """Label of the y axis: what a bin is wide; bins of different widths have none."""
    width = np.diff(edges)
    if not np.allclose(width, width[0], rtol=1e-3):
        return "Events / bin"
    if not unit and width[0] == 1.0:
        return "Events"
    return f"Events / {width[0]:.3g} {unit}".rstrip()


def y_axis(ax: Axes, numbers: DataMC, *, log: bool, top: Floats, unit: str) -> None:
    """Scale, limits and label of the axis of events; ``top`` is (B,) what it must hold."""
    label = _per_bin(numbers.edges, unit)
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


def share(ax: Axes, scale: Scale, log: bool) -> None:
    """The y axis of a scale, with room for a legend, which may not raise it any more."""
    bottom, _ = ax.get_ylim()
    if log:
        bottom = min(bottom, 0.4 * max(scale.smallest, 1e-5 * scale.largest))
    transform = ax.yaxis.get_transform()
    low, high = transform.transform(np.array([bottom, scale.largest]))
    top = transform.inverted().transform(np.array([low + _ROOM * (high - low)]))[0]
    ax.set_ylim(bottom, float(top))
    ceiling(ax)


def x_axis(ax: Axes, ratio_ax: Axes | None, numbers: DataMC, name: str, unit: str) -> None:
    """Limits and label of the axis of the quantity; whole numbers have ticks on them."""
    bottom, edges = ratio_ax or ax, numbers.edges
    label = f"{name} [{unit}]" if unit else name
    ax.set_xlim(float(edges[0]), float(edges[-1]))
    bottom.set_xlim(float(edges[0]), float(edges[-1]))
    if np.allclose(edges % 1.0, 0.5) and np.allclose(np.diff(edges), 1.0):
        # integers in bins of their own
        whole_ticks(bottom.xaxis)
        bottom.set_xlabel(label)
    else:
        take_out_exponent(bottom.xaxis, label, float(np.abs(edges).max()))


Lower = Literal["ratio", "pull", "none"]

OUTSIDE = "outside"  # group id of the arrows that stand for points outside a panel
BAND: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": "0.25",
    "hatch": "/////",
    "linewidth": 0.0,
}
VARIED: dict[str, Any] = {"facecolor": "#d1495b", "edgecolor": "none", "alpha": 0.55}
VARIED_NAME = r"calibration $\pm 1\,\sigma$"
BEFORE: dict[str, Any] = {"color": "#5b6270", "markerfacecolor": "white"}

_RATIOS = (0.1, 0.2, 0.5, 1.0)  # half-heights of a ratio panel
_PULLS = (3.0, 5.0, 10.0)  # and of a panel of pulls


def short_name(data_name: str) -> str:
    """What stands before the first comma."""
    return data_name.split(",")[0]


def draw_points(
    ax: Axes, numbers: DataMC, y: Floats, error: Floats, label: str | None, **look: Any
) -> None:
    """The data of every bin that has any: heights (B,) with errors (2, B) down and up.

    ``look`` is that of the marks, in place of black dots.
    """
    edges = numbers.edges
    centre = 0.5 * (edges[1:] + edges[:-1])
    # An empty bin has an upper limit only; in a stack of data it is customarily left out.
    filled = np.isfinite(y) & (numbers.data.sumw2 > 0)
    marks: dict[str, Any] = {
        "fmt": "o",
        "color": "black",
        "markersize": scaled(5.0 if len(centre) <= 50 else 3.5),
        "elinewidth": scaled(1.3),
        "zorder": 5,
    }
    ax.errorbar(centre[filled], y[filled], yerr=error[:, filled], label=label, **marks | look)


def draw_varied(ax: Axes, numbers: DataMC, label: str | None, *, ratio: bool = False) -> None:
    """Between the MC with the calibration changed by an error up and down, itself included."""
    if numbers.varied is None:
        return
    mc = numbers.mc.sumw
    three = np.stack([mc, *numbers.varied])
    if ratio:
        three = np.divide(three, mc, np.ones_like(three), where=mc > 0)
    low, high = three.min(axis=0), three.max(axis=0)
    ax.stairs(high, numbers.edges, baseline=low, fill=True, label=label, zorder=2.5, **VARIED)


def draw_ratio(
    ax: Axes,
    numbers: DataMC,
    data_name: str,
    before: DataMC | None = None,
    limits: Sequence[float] | None = None,
) -> None:
    """Data over MC, with MC's statistical band around 1; an earlier stage as open points.

    The limits of the y axis are by default the smallest of the usual that show nine points of ten.
    """
    low, high = ratio_limits(numbers) if limits is None else limits
    band = np.nan_to_num(numbers.ratio_band)
    draw_varied(ax, numbers, None, ratio=True)
    ax.stairs(1 + band, numbers.edges, baseline=1 - band, fill=True, **BAND)
    ax.axhline(1.0, color="black", linewidth=scaled(1.0), linestyle=":", gid=GUIDE)
    if before is not None:
        draw_points(ax, before, before.ratio, before.ratio_error, None, **BEFORE | {"zorder": 4})
    draw_points(ax, numbers, numbers.ratio, numbers.ratio_error, None)
    # Data where no MC is: infinitely far above.
    ratio = np.where(np.isnan(numbers.ratio), np.inf, numbers.ratio)
    arrows(ax, numbers.edges, ratio, numbers.data.sumw > 0, (low, high))
    ax.set_ylim(low, high)
    ax.set_yticks([low + 0.25 * (high - low), 0.5 * (low + high), high - 0.25 * (high - low)])
    gap = "\n" if len(data_name) > 6 else " "  # a long name would reach beyond the panel
    ax.set_ylabel(f"{data_name}{gap}/ MC", loc="center")


def ratio_limits(numbers: DataMC) -> tuple[float, float]:
    """Limits of a ratio panel: the smallest of the usual that show nine points of ten."""
    off = np.abs(numbers.ratio - 1) + numbers.ratio_error.max(axis=0)
    half = _half_height(off[numbers.data.sumw2 > 0], _RATIOS, 0.5)
    return 1 - half, 1 + half


def draw_pulls(
    ax: Axes,
    numbers: DataMC,
    data_name: str,
    before: DataMC | None,
    limits: Sequence[float] | None,
) -> None:
    """(Data - MC)/σ as bars, with the lines of ±1 and ±2; the arguments of :func:`draw_ratio`."""
    known = np.isfinite(numbers.pull)
    if limits is None:
        half = _half_height(np.abs(numbers.pull[known]), _PULLS, 3.0)
        limits = -half, half
    low, high = limits
    ax.axhspan(-2, 2, color="0.93", gid=GUIDE, zorder=0)
    ax.axhspan(-1, 1, color="0.85", gid=GUIDE, zorder=0)
    ax.axhline(0.0, color="black", linewidth=scaled(1.0), gid=GUIDE)
    pull = np.where(known, numbers.pull, 0.0)
    ax.stairs(pull, numbers.edges, baseline=0.0, fill=True, facecolor="#717581", edgecolor="none")
    if before is not None:
        earlier = np.where(np.isfinite(before.pull), before.pull, np.nan)
        ax.stairs(
            earlier, before.edges, color=BEFORE["color"], linestyle="--", linewidth=scaled(1.3)
        )
    arrows(ax, numbers.edges, np.where(known, numbers.pull, 0.0), known, (low, high))
    ax.set_ylim(low, high)
    third = 2.0 if max(-low, high) <= 3.5 else 0.6 * max(-low, high)
    ax.set_yticks([t for t in (-third, 0.0, third) if low <= t <= high])
    gap = "\n" if len(data_name) > 6 else " "
    ax.set_ylabel(rf"({data_name}{gap}$-$ MC) / $\sigma$", loc="center")


def _half_height(off: Floats, usual: Sequence[float], empty: float) -> float:
    off = off[np.isfinite(off)]
    if not len(off):
        return empty
    needed = float(np.quantile(off, 0.9))
    return next((half for half in usual if needed <= half), usual[-1])


def arrows(
    ax: Axes,
    edges: NDArray[np.floating],
    y: NDArray[np.floating],
    measured: NDArray[np.bool_],
    limits: tuple[float, float],
) -> None:
    """Draw one at the edge of the panel, for each measured point (n,) of the bins beyond it."""
    low, high = limits
    centre = 0.5 * (edges[1:] + edges[:-1])
    inset = 0.06 * (high - low)
    for beyond, place, marker in ((y > high, high - inset, "^"), (y < low, low + inset, "v")):
        at = centre[beyond & measured]
        if len(at):
            y_at = np.full(len(at), place)
            ax.plot(at, y_at, marker, color="#bd1f01", markersize=scaled(7), gid=OUTSIDE, zorder=6)
