"""Weighted histograms, their binning, and the error of counts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .filling import Histogram, fill
from .steps import steps

__all__ = ["Histogram", "binning", "garwood", "histogram"]

Floats = NDArray[np.float64]
ONE_SIGMA = 0.6826894921370859


def histogram(values: ArrayLike, weight: ArrayLike | None, edges: ArrayLike) -> Histogram:
    """Fill a weighted histogram.

    Args:
        values: (N,); NaN counts as missing, ±inf as over- and underflow.
        weight: (N,) event weights of either sign; ``None`` for 1 each.
        edges: (B+1,) rising bin edges.
    """
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
    from scipy.stats import chi2

    n = np.asarray(counts, dtype=np.float64)
    half = 0.5 * (1.0 - ONE_SIGMA)
    low = np.where(n > 0, 0.5 * chi2.ppf(half, 2.0 * np.maximum(n, 1.0)), 0.0)
    high = 0.5 * chi2.ppf(1.0 - half, 2.0 * (n + 1.0))
    return n - low, high - n
