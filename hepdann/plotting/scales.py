"""The axes of data and MC: their limits and labels, and what several figures share of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from .frame import take_out_exponent
from .headroom import ceiling
from .panels import ratio_limits

if TYPE_CHECKING:
    from ..evaluation import DataMC
    from ..stats import Histogram

__all__ = ["Scale", "common_scale", "highest", "share", "wants_log", "x_axis", "y_axis"]

Floats = NDArray[np.float64]

_ROOM = 1.4  # length of a shared axis, in that of the largest content: the legend's place


@dataclass(frozen=True)
class Scale:
    """The y axes that several figures share.

    Attributes:
        log: whether the upper one is logarithmic.
        smallest: smallest content of a bin above zero.
        largest: largest content of a bin, its error included.
        ratio: limits of the panel below.
    """

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


def x_axis(ax: Axes, numbers: DataMC, name: str, unit: str) -> None:
    """Limits and label of the axis of the quantity; whole numbers have ticks on them."""
    edges = numbers.edges
    ax.set_xlim(float(edges[0]), float(edges[-1]))
    whole = np.allclose(edges % 1.0, 0.5) and np.allclose(np.diff(edges), 1.0)
    if whole:  # integers in bins of their own
        ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel(f"{name} [{unit}]" if unit else name)
        return
    take_out_exponent(ax.xaxis, f"{name} [{unit}]" if unit else name, float(np.abs(edges).max()))
