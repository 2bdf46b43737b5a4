"""Weighted histograms, their binning, and the error of counts."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .figure import Figure, Floats, as_weight
from .granularity import steps

ONE_SIGMA = 0.6826894921370859
_MANY = 500_000  # events from which threads pay
_THREADS = 8  # each has a copy of the bins; more are not faster


@dataclass(frozen=True, eq=False)
class Histogram:
    """A weighted histogram.

    Attributes:
        edges: (B+1,) rising; the last edge belongs to the last bin.
        sumw: (B,) sum of weights.
        sumw2: (B,) sum of squared weights, the variance of ``sumw``.
        underflow: (sum of weights, sum of squared weights) below the first edge.
        overflow: the same above the last edge.
        missing: the same of events whose value is NaN.
    """

    edges: Floats
    sumw: Floats
    sumw2: Floats
    underflow: tuple[float, float]
    overflow: tuple[float, float]
    missing: tuple[float, float] = (0.0, 0.0)

    @property
    def error(self) -> Floats:
        """(B,) standard error √Σw² of each bin."""
        return np.sqrt(self.sumw2)

    @property
    def total(self) -> Figure:
        """Σw of all events, also those outside the bins, with √Σw²."""
        parts = (self.underflow, self.overflow, self.missing)
        sumw = float(self.sumw.sum()) + sum(p[0] for p in parts)
        sumw2 = float(self.sumw2.sum()) + sum(p[1] for p in parts)
        return Figure(sumw, math.sqrt(sumw2), sumw**2 / sumw2 if sumw2 > 0 else 0.0)

    def scaled(self, factor: float) -> Histogram:
        """The histogram with every weight times ``factor``."""
        low, high, none = (
            (a * factor, b * factor**2) for a, b in (self.underflow, self.overflow, self.missing)
        )
        return Histogram(self.edges, self.sumw * factor, self.sumw2 * factor**2, low, high, none)


def fill(
    values: ArrayLike,
    weight: ArrayLike | None,
    edges: ArrayLike,
    group: ArrayLike | None = None,
    groups: int = 1,
) -> list[Histogram]:
    """One histogram a group of events, from a single pass over them.

    Args:
        values: (N,); NaN counts as missing, ±inf as over- and underflow.
        weight: (N,) event weights of either sign; ``None`` for 1 each.
        edges: (B+1,) rising bin edges; the last belongs to the last bin.
        group: (N,) index of each event's group; one beyond ``groups`` is in none. By default all
            are in the first.
        groups: number of groups.
    """
    import boost_histogram as bh

    x = np.asarray(values, dtype=np.float64)
    edges = np.asarray(edges, dtype=np.float64)
    w = as_weight(weight, len(x))
    index = None if group is None else np.asarray(group, dtype=np.int64)
    missing = [(0.0, 0.0)] * groups
    nan = np.isnan(x)
    if nan.any():  # boost would count them as overflow
        missing = _sums(w[nan], None if index is None else index[nan], groups)
        x, w = x[~nan], w[~nan]
        index = None if index is None else index[~nan]
    inner = edges.copy()
    inner[-1] = np.nextafter(edges[-1], np.inf)  # boost's bins are half-open; ours close the last
    axis = bh.axis.Variable(inner)
    which = bh.axis.Integer(0, groups, underflow=False, overflow=False)
    filled = bh.Histogram(axis, which, storage=bh.storage.Weight())
    filled.fill(x, 0 if index is None else index, weight=w, threads=_threads(len(x)))
    view = filled.view(flow=True)
    sumw, sumw2 = np.array(view["value"]), np.array(view["variance"])
    return [
        Histogram(
            edges,
            sumw[1:-1, g].copy(),
            sumw2[1:-1, g].copy(),
            (float(sumw[0, g]), float(sumw2[0, g])),
            (float(sumw[-1, g]), float(sumw2[-1, g])),
            missing[g],
        )
        for g in range(groups)
    ]


def _sums(w: Floats, index: NDArray[np.int64] | None, groups: int) -> list[tuple[float, float]]:
    """(Σw, Σw²) of each group."""
    parts = [w] if index is None else [w[index == g] for g in range(groups)]
    return [(float(part.sum()), float((part**2).sum())) for part in parts]


def _threads(events: int) -> int:
    if events < _MANY:
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(usable or 1, _THREADS))


def histogram(values: ArrayLike, weight: ArrayLike | None, edges: ArrayLike) -> Histogram:
    """Fill one weighted histogram, as :func:`fill` does."""
    return fill(values, weight, edges)[0]


def binning(*values: ArrayLike, bins: int = 40, tail: float = 0.001) -> Floats:
    """Bin edges that suit all of the given samples.

    Few distinct integers get one bin each, centred on the integer. A quantity that takes steps
    (:func:`.steps.steps` of the first sample) has its edges between them, one or more to a bin: no
    bin holds a step more than its neighbours. Otherwise the bins are even between the ``tail`` and
    1 - ``tail`` quantiles of the pooled values, and reach to the extreme value where that is hardly
    further: a bounded quantity keeps its bounds, a tail becomes overflow.

    Args:
        *values: (N,) each, the first is MC; NaN and ±inf are left out.
        bins: number of bins of a continuous quantity; largest number for a discrete one.
        tail: share that may lie outside on either side.

    Returns:
        (B+1,) rising edges.
    """
    pooled = np.concatenate([np.asarray(v, dtype=np.float64).ravel() for v in values])
    pooled = pooled[np.isfinite(pooled)]
    if len(pooled) == 0:
        return np.array([0.0, 1.0])
    low, high = (float(v) for v in np.quantile(pooled, [tail, 1.0 - tail]))
    smallest, largest = float(pooled.min()), float(pooled.max())
    if high - low < bins and np.array_equal(pooled, np.round(pooled)):
        return np.arange(math.floor(low) - 0.5, math.ceil(high) + 1.0)
    first = np.asarray(values[0], dtype=np.float64).ravel()
    if high > low and (found := steps(first[np.isfinite(first)])) is not None:
        return _between_steps(low, high, *found, bins)
    if high <= low:
        low, high = smallest, largest
    if high <= low:
        half = 0.5 * max(abs(low), 1.0)
        return np.array([low - half, low + half])
    margin = 0.1 * (high - low)
    low = smallest if smallest > low - margin else low
    high = largest if largest < high + margin else high
    return np.linspace(low, high, bins + 1)


def _between_steps(low: float, high: float, width: float, place: float, bins: int) -> Floats:
    """Edges half-way between steps that hold all from ``low`` to ``high``."""
    start, end = (round((value - place) / width) for value in (low, high))
    each = -(-(end - start + 1) // bins)  # steps in a bin
    count = -(-(end - start + 1) // each)
    return place + width * (start - 0.5 + each * np.arange(count + 1, dtype=np.float64))


def garwood(counts: ArrayLike) -> tuple[Floats, Floats]:
    """Central 68.27 % Poisson interval of observed counts (Garwood, Biometrika 28 (1936) 437).

    Returns:
        How far the interval reaches below and above each count.
    """
    from scipy.special import gammainccinv, gammaincinv  # scipy.stats takes .6 s to import

    n = np.asarray(counts, dtype=np.float64)
    half = 0.5 * (1.0 - ONE_SIGMA)
    low = np.where(n > 0, gammaincinv(np.maximum(n, 1.0), half), 0.0)
    return n - low, gammainccinv(n + 1.0, half) - n
