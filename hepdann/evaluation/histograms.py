"""Weighted histograms, automatic binning, and the data/MC comparison of one quantity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .figure import Figure, as_weight

__all__ = ["DataMC", "Histogram", "binning", "data_mc", "garwood", "histogram"]

Floats = NDArray[np.float64]
ONE_SIGMA = 0.6826894921370859


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


def histogram(values: ArrayLike, weight: ArrayLike | None, edges: ArrayLike) -> Histogram:
    """Fill a weighted histogram.

    Args:
        values: (N,); NaN counts as missing, ±inf as over- and underflow.
        weight: (N,) event weights of either sign; ``None`` for 1 each.
        edges: (B+1,) rising bin edges.
    """
    import boost_histogram as bh

    values = np.asarray(values, dtype=np.float64)
    edges = np.asarray(edges, dtype=np.float64)
    w = as_weight(weight, len(values))
    nan = np.isnan(values)
    inner = edges.copy()
    inner[-1] = np.nextafter(edges[-1], np.inf)  # boost's bins are half-open; ours close the last
    filled = bh.Histogram(bh.axis.Variable(inner), storage=bh.storage.Weight())
    filled.fill(values[~nan], weight=w[~nan])
    view = filled.view(flow=True)
    sumw, sumw2 = np.array(view["value"]), np.array(view["variance"])
    return Histogram(
        edges,
        sumw[1:-1],
        sumw2[1:-1],
        (float(sumw[0]), float(sumw2[0])),
        (float(sumw[-1]), float(sumw2[-1])),
        (float(w[nan].sum()), float((w[nan] ** 2).sum())),
    )


def binning(*values: ArrayLike, bins: int = 40, tail: float = 0.001) -> Floats:
    """Bin edges that suit all of the given samples.

    Few distinct integers get one bin each, centred on the integer. Otherwise the bins are even
    between the ``tail`` and 1 - ``tail`` quantiles of the pooled values, and reach to the extreme
    value where that is hardly further: a bounded quantity keeps its bounds, a tail becomes
    overflow.

    Args:
        *values: (N,) each; NaN and ±inf are left out.
        bins: number of bins of a continuous quantity; largest number for integers.
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
    if high <= low:
        low, high = smallest, largest
    if high <= low:
        half = 0.5 * max(abs(low), 1.0)
        return np.array([low - half, low + half])
    margin = 0.1 * (high - low)
    low = smallest if smallest > low - margin else low
    high = largest if largest < high + margin else high
    return np.linspace(low, high, bins + 1)


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


@dataclass(frozen=True, eq=False)
class DataMC:
    """Data and MC in one quantity, everything that a stack with a ratio panel shows.

    Attributes:
        names: the processes, in the order of ``stack``.
        stack: one histogram a process, after ``scale``.
        mc: the sum of the stack; its ``error`` is the MC statistical band.
        data: the data.
        data_error: (2, B) how far the data's interval reaches down and up: Garwood's for data
            without weights, √Σw² otherwise.
        ratio: (B,) data / MC; NaN where MC is not positive.
        ratio_error: (2, B) the data's error over MC.
        ratio_band: (B,) the MC's relative statistical error, the band around 1.
        chi2: Σ(data - MC)²/(σ²_data + σ²_MC) over the bins with events; σ²_data of unweighted data
            is the expected count (Pearson).
        ndf: number of those bins, less one if MC was normalised to the data.
        p_value: probability of a larger chi2.
        scale: factor on the MC; 1 unless it was normalised to the data.
        data_yield: Σw of all data, also outside the bins.
        mc_yield: Σw of all MC after ``scale``.
        yield_ratio: data / MC.
    """

    names: tuple[str, ...]
    stack: tuple[Histogram, ...]
    mc: Histogram
    data: Histogram
    data_error: Floats
    ratio: Floats
    ratio_error: Floats
    ratio_band: Floats
    chi2: float
    ndf: int
    p_value: float
    scale: float
    data_yield: Figure
    mc_yield: Figure
    yield_ratio: Figure

    @property
    def edges(self) -> Floats:
        """(B+1,) bin edges of every histogram here."""
        return self.data.edges


def data_mc(
    values_mc: ArrayLike,
    weight_mc: ArrayLike | None,
    process: ArrayLike,
    names: Sequence[str],
    values_data: ArrayLike,
    weight_data: ArrayLike | None,
    edges: ArrayLike,
    *,
    normalise: bool = False,
) -> DataMC:
    """Compare data with the sum of MC processes in one quantity.

    Args:
        values_mc: (N,) the quantity in MC; NaN is missing.
        weight_mc: (N,) event weights of either sign; ``None`` for 1 each.
        process: (N,) index into ``names``.
        names: name of each process; one without events is kept, empty.
        values_data: (M,) the quantity in data.
        weight_data: (M,) event weights; ``None`` for 1 each.
        edges: (B+1,) rising bin edges.
        normalise: scale MC to the data's yield, to compare shapes.
    """
    values_mc = np.asarray(values_mc, dtype=np.float64)
    w_mc = as_weight(weight_mc, len(values_mc))
    process = np.asarray(process)
    data = histogram(values_data, weight_data, edges)
    mc = histogram(values_mc, w_mc, edges)
    scale = data.total.value / mc.total.value if normalise and mc.total.value > 0 else 1.0
    mc = mc.scaled(scale)
    stack = tuple(
        histogram(values_mc[process == i], w_mc[process == i], edges).scaled(scale)
        for i in range(len(names))
    )
    counted = weight_data is None or bool(np.all(np.asarray(weight_data) == 1.0))
    error = np.stack(garwood(data.sumw)) if counted else np.stack([data.error, data.error])
    positive = mc.sumw > 0
    safe = np.where(positive, mc.sumw, np.nan)
    chi2, ndf, p_value = _chi2(data, mc, counted=counted, normalised=normalise)
    return DataMC(
        names=tuple(names),
        stack=stack,
        mc=mc,
        data=data,
        data_error=error,
        ratio=data.sumw / safe,
        ratio_error=error / safe,
        ratio_band=mc.error / safe,
        chi2=chi2,
        ndf=ndf,
        p_value=p_value,
        scale=scale,
        data_yield=data.total,
        mc_yield=mc.total,
        yield_ratio=_ratio(data.total, mc.total),
    )


def _chi2(
    data: Histogram, mc: Histogram, *, counted: bool, normalised: bool
) -> tuple[float, int, float]:
    from scipy.stats import chi2 as distribution

    expected = np.where(mc.sumw > 0, mc.sumw, data.sumw) if counted else data.sumw2
    variance = expected + mc.sumw2
    used = variance > 0
    value = float(np.sum((data.sumw[used] - mc.sumw[used]) ** 2 / variance[used]))
    ndf = int(np.count_nonzero(used)) - int(normalised)
    return value, ndf, float(distribution.sf(value, ndf)) if ndf > 0 else math.nan


def _ratio(top: Figure, bottom: Figure) -> Figure:
    if not bottom.value > 0:
        return Figure(math.nan, math.nan, 0.0)
    value = top.value / bottom.value
    relative = math.hypot(top.error / top.value if top.value else 0.0, bottom.error / bottom.value)
    return Figure(value, abs(value) * relative, min(top.n_eff, bottom.n_eff))
