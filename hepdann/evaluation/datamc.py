"""Data against MC in one quantity: everything that a stack with a panel below shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..stats import without_sentinels
from ..stats.distances import kolmogorov
from ..stats.figure import Figure, as_weight
from ..stats.histograms import Histogram, binning, fill, garwood
from ..tensors import Source, Target

Floats = NDArray[np.float64]
_ENOUGH = 5.0  # expected events, from which a bin's content is near enough to normal (Cochran 1954)


@dataclass(frozen=True, eq=False)
class DataMC:
    """Data and MC in one quantity, everything that a stack with a ratio panel shows.

    Attributes:
        names: the processes, in the order of ``stack``.
        stack: one histogram a process, after ``scale``.
        mc: the sum of the stack; its ``error`` is the MC statistical band.
        data_error: (2, B) how far the data's interval reaches down and up: Garwood's for data
            without weights, √Σw² otherwise.
        ratio: (B,) data / MC; NaN where MC is not positive.
        ratio_error: (2, B) the data's error over MC.
        ratio_band: (B,) the MC's relative statistical error, the band around 1.
        chi2: Σ(data - MC)²/(σ²_data + σ²_MC), neighbouring bins merged until each has 5 expected
            events and 5 effective ones of MC; σ²_data is that of the expected content (Pearson).
        bins: how many bins it is made of, 0 where all together have too few events.
        ndf: the same, less one if MC was normalised to the data.
        p_value: probability of a larger chi2.
        pull: (B,) (data - MC)/√(σ²_data + σ²_MC) of each bin that is drawn, with the errors of
            ``chi2``; NaN in an empty bin.
        scale: factor on the MC; 1 unless it was normalised to the data.
        data_yield: Σw of all data, also outside the bins; ``mc_yield`` after ``scale``.
        ks: Kolmogorov-Smirnov distance of the values themselves, where it was asked for.
        ks_p_value: of that distance between equal samples.
        blind: (low, high) window in which there are no data here, in whole bins.
        varied: (2, B) the sum of the stack with the calibration of MC changed by an error, up and
            down; ``None`` where no calibration stands before the quantity.
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
    bins: int
    ndf: int
    p_value: float
    pull: Floats
    scale: float
    data_yield: Figure
    mc_yield: Figure
    yield_ratio: Figure
    ks: float = math.nan
    ks_p_value: float = math.nan
    blind: tuple[float, float] | None = None
    varied: Floats | None = None

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
    blind: tuple[float, float] | None = None,
    ks: bool = False,
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
        blind: window whose bins hold no data. Data in a bin that the window touches enter no number
            here, and neither do the MC there when yields are compared.
        ks: add the Kolmogorov-Smirnov test, which sorts all events.
    """
    edges = np.asarray(edges, dtype=np.float64)
    values_mc = np.asarray(values_mc, dtype=np.float64)
    values_data = np.asarray(values_data, dtype=np.float64)
    w_data = as_weight(weight_data, len(values_data))
    counted = weight_data is None or bool(np.all(w_data == 1.0))
    hidden = _hidden(edges, blind)
    window, unblinded = _unblinded(values_data, edges, hidden)
    values_data, w_data = values_data[unblinded], w_data[unblinded]
    (data,) = fill(values_data, w_data, edges)
    parts = fill(values_mc, weight_mc, edges, process, len(names))
    mc_yield = _open_yield(parts, hidden)
    scale = data.total.value / mc_yield.value if normalise and mc_yield.value > 0 else 1.0
    stack = tuple(part.scaled(scale) for part in parts)
    mc = _sum(stack, edges)
    mc_yield = _open_yield(stack, hidden)
    error = np.stack(garwood(data.sumw)) if counted else np.stack([data.error, data.error])
    error[:, hidden] = math.nan
    expected = np.where(mc.sumw > 0, mc.sumw, np.nan)
    safe = np.where(hidden, np.nan, expected)
    contents = np.stack([data.sumw, data.sumw2, mc.sumw, mc.sumw2])
    pull = _pulls(*contents)
    pull[hidden] = math.nan
    chi2, bins, p_value = _chi2(_pulls(*_enough(contents[:, ~hidden])), normalised=normalise)
    distance = math.nan, math.nan
    if ks:
        distance = _kolmogorov(values_mc, weight_mc, values_data, w_data, window)
    return DataMC(
        names=tuple(names),
        stack=stack,
        mc=mc,
        data=data,
        data_error=error,
        ratio=data.sumw / safe,
        ratio_error=error / safe,
        ratio_band=mc.error / expected,
        chi2=chi2,
        bins=bins,
        ndf=max(bins - int(normalise), 0),
        p_value=p_value,
        pull=pull,
        scale=scale,
        data_yield=data.total,
        mc_yield=mc_yield,
        yield_ratio=_ratio(data.total, mc_yield),
        ks=distance[0],
        ks_p_value=distance[1],
        blind=window,
    )


def folded(edges: Floats, *values: NDArray[Any]) -> tuple[list[NDArray[Any]], bool]:
    """The values with those outside the edges moved into the end bins; whether there are any."""
    with np.errstate(invalid="ignore"):
        outside = any(bool(np.any((v < edges[0]) | (v > edges[-1]))) for v in values)
    return [np.clip(v, edges[0], edges[-1]) for v in values], outside


def outside_bins(values: ArrayLike, edges: ArrayLike) -> tuple[Floats, Floats]:
    """Give what lies outside the bins a bin of its own at either end, as wide as its neighbour.

    The values, with those outside moved into the new bins, and the (B+3,) edges.
    """
    edges = np.asarray(edges, dtype=np.float64)
    low, high = edges[1] - edges[0], edges[-1] - edges[-2]
    x = np.asarray(values, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        x = np.where(x < edges[0], edges[0] - 0.5 * low, x)
        x = np.where(x > edges[-1], edges[-1] + 0.5 * high, x)
    return x, np.concatenate([[edges[0] - low], edges, [edges[-1] + high]])


def _hidden(edges: Floats, blind: tuple[float, float] | None) -> NDArray[np.bool_]:
    """(B,) bins that the window touches."""
    if blind is None:
        return np.zeros(len(edges) - 1, dtype=bool)
    return np.asarray((edges[:-1] < blind[1]) & (edges[1:] > blind[0]))


def _unblinded(
    x: Floats, edges: Floats, hidden: NDArray[np.bool_]
) -> tuple[tuple[float, float] | None, NDArray[np.bool_]]:
    """The window that the hidden bins make, and the events that are not in it."""
    if not hidden.any():
        return None, np.ones(len(x), dtype=bool)
    window = float(edges[:-1][hidden].min()), float(edges[1:][hidden].max())
    return window, ~_within(x, window, last=bool(hidden[-1]))


def _within(x: Floats, window: tuple[float, float], *, last: bool) -> NDArray[np.bool_]:
    """Events in the window, whose upper edge belongs to it where it closes the last bin."""
    return (x >= window[0]) & ((x <= window[1]) if last else (x < window[1]))


def _sum(stack: Sequence[Histogram], edges: Floats) -> Histogram:
    def pair(name: str) -> tuple[float, float]:
        ends = [getattr(part, name) for part in stack]
        return sum(f[0] for f in ends), sum(f[1] for f in ends)

    empty = np.zeros(len(edges) - 1)
    sumw = sum((part.sumw for part in stack), empty)
    sumw2 = sum((part.sumw2 for part in stack), empty)
    return Histogram(edges, sumw, sumw2, pair("underflow"), pair("overflow"), pair("missing"))


def _open_yield(stack: Sequence[Histogram], hidden: NDArray[np.bool_]) -> Figure:
    """Σw of all MC but that in hidden bins."""
    total = _sum(stack, np.zeros(len(hidden) + 1))
    open_ = ~hidden
    return Histogram(
        total.edges, total.sumw[open_], total.sumw2[open_], total.underflow, total.overflow,
        total.missing,
    ).total  # fmt: skip


def _enough(contents: Floats) -> Floats:
    """(4, G) of neighbouring bins merged until each has enough events for a χ², by what MC expects.

    ``contents`` are (4, B) Σw and Σw² of the data, then of MC. What fluctuates in the data merges
    nothing; they only say what an event of theirs weighs.
    """
    weight = _mean_weight(*contents[:2])
    starts, sumw, sumw2 = [0], 0.0, 0.0
    for index, (one, square) in enumerate(contents[2:].T):
        sumw, sumw2 = sumw + one, sumw2 + square
        if sumw > 0 and min(sumw / weight, sumw**2 / sumw2) >= _ENOUGH:
            starts.append(index + 1)
            sumw = sumw2 = 0.0
    starts.pop()  # what is left over joins the last bin that has enough
    return np.add.reduceat(contents, starts, axis=1) if starts else contents[:, :0]


def _pulls(data: Floats, data2: Floats, mc: Floats, mc2: Floats) -> Floats:
    """The data's variance is what is expected: MC, times what a unit of the data's weight counts.

    That is Pearson's for unit weights, and the scaled Poisson distribution of Bohm and Zech (NIM A
    748 (2014) 1) for others. Their own Σw² would be small just where the data fluctuate down.
    """
    scale = np.divide(
        data2, data, out=np.full(len(data), _mean_weight(data, data2)), where=data > 0
    )
    variance = np.where(mc > 0, mc * scale, data2) + mc2
    safe = np.where(variance > 0, variance, np.nan)
    return np.asarray((data - mc) / np.sqrt(safe))


def _mean_weight(sumw: Floats, sumw2: Floats) -> float:
    """Σw²/Σw; 1 where it does not exist."""
    total = float(sumw.sum())
    return float(sumw2.sum()) / total if total > 0 else 1.0


def _chi2(pull: Floats, *, normalised: bool) -> tuple[float, int, float]:
    from scipy.special import chdtrc

    value, ndf = float(np.sum(pull**2)), len(pull) - int(normalised)
    return value, len(pull), float(chdtrc(ndf, value)) if ndf > 0 else math.nan


def _kolmogorov(
    values_mc: Floats,
    weight_mc: ArrayLike | None,
    values_data: Floats,
    weight_data: Floats,
    window: tuple[float, float] | None,
) -> tuple[float, float]:
    """Of finite values outside the blind window."""
    w_mc = as_weight(weight_mc, len(values_mc))
    pairs = []
    for x, w in ((values_mc, w_mc), (values_data, weight_data)):
        known = np.isfinite(x)
        if window is not None:
            known &= ~_within(x, window, last=True)
        pairs.append((x[known], w[known]))
    (x, u), (y, v) = pairs
    return kolmogorov(x, y, u, v)


def _ratio(top: Figure, bottom: Figure) -> Figure:
    if not bottom.value > 0:
        return Figure(math.nan, math.nan, 0.0)
    value = top.value / bottom.value
    relative = math.hypot(top.error / top.value if top.value else 0.0, bottom.error / bottom.value)
    return Figure(value, abs(value) * relative, min(top.n_eff, bottom.n_eff))


def compare_feature(
    mc: Source, target: Target, index: int, class_names: Sequence[str] | None = None
) -> tuple[DataMC, bool]:
    """MC, class by class, and the target in one feature; MC is normalised to the target.

    The comparison, and whether the end bins hold events from outside.
    """
    (x, y), _ = without_sentinels(mc.features[:, index], target.features[:, index])
    edges = binning(x, y)
    (x, y), outside = folded(edges, x, y)
    names = tuple(class_names or mc.classes)
    numbers = data_mc(x, mc.weight, mc.label, names, y, target.weight, edges, normalise=True)
    return numbers, outside
