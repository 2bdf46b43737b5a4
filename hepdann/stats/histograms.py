"""Weighted histograms, their binning, the error of counts, and the search for a bump in one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import HepdannError
from .figure import Figure, Floats, as_weight
from .granularity import steps
from .threads import cores

ONE_SIGMA = 0.6826894921370859
_MANY = 500_000  # events from which threads pay
_THREADS = 8  # each has a copy of the bins; more are not faster
_CANDIDATES = 100  # fine bins whose edges are tried
_ENOUGH = 10.0  # effective events of background that a bin of a template must have
_STEPS = 100  # of Newton's method
_SMALL = 1e-10  # change of the parameters that ends it


@dataclass(frozen=True, eq=False)
class Histogram:
    """A weighted histogram.

    Attributes:
        edges: (B+1,) rising; the last edge belongs to the last bin.
        sumw: (B,) sum of weights; ``sumw2`` that of squared weights, its variance.
        underflow: (Σw, Σw²) below the first edge, ``overflow`` above the last one, ``missing`` of
            NaN.
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

    NaN counts as missing, ±inf as over- and underflow. ``group`` is the (N,) index of each event's
    group, by default the first; one beyond ``groups`` is in none.
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
    threads = 1 if len(x) < _MANY else min(cores(), _THREADS)
    filled.fill(x, 0 if index is None else index, weight=w, threads=threads)
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


def histogram(values: ArrayLike, weight: ArrayLike | None, edges: ArrayLike) -> Histogram:
    """Fill one weighted histogram, as :func:`fill` does."""
    return fill(values, weight, edges)[0]


def binning(*values: ArrayLike, bins: int = 40) -> Floats:
    """(B+1,) rising bin edges that suit all of the samples, of which the first is MC.

    Few distinct integers get one bin each, centred on the integer. A quantity that takes steps
    (:func:`.granularity.steps` of the first sample) has its edges between them, one or more to a
    bin: no bin holds a step more than its neighbours. Otherwise ``bins`` bins are even between the
    quantiles .001 and .999 of the pooled finite values, and reach to the extreme value where that
    is hardly further: a bounded quantity keeps its bounds, a tail becomes overflow.
    """
    pooled = np.concatenate([np.asarray(v, dtype=np.float64).ravel() for v in values])
    pooled = pooled[np.isfinite(pooled)]
    if len(pooled) == 0:
        return np.array([0.0, 1.0])
    low, high = (float(v) for v in np.quantile(pooled, [0.001, 0.999]))
    smallest, largest = float(pooled.min()), float(pooled.max())
    if high - low < bins and np.array_equal(pooled, np.round(pooled)):
        return np.arange(math.floor(low) - 0.5, math.ceil(high) + 1.0)
    first = np.asarray(values[0], dtype=np.float64).ravel()
    if high > low and (widths := steps(first[np.isfinite(first)])) is not None:
        return _between_steps(low, high, *widths, bins)
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
    """How far the central 68.27 % Poisson interval reaches below and above each count.

    Garwood, Biometrika 28 (1936) 437.
    """
    from scipy.special import gammainccinv, gammaincinv  # scipy.stats takes .6 s to import

    n = np.asarray(counts, dtype=np.float64)
    half = 0.5 * (1.0 - ONE_SIGMA)
    low = np.where(n > 0, gammaincinv(np.maximum(n, 1.0), half), 0.0)
    return n - low, gammainccinv(n + 1.0, half) - n


def significance(signal: ArrayLike, background: ArrayLike) -> Floats:
    """Expected significance Z of counting experiments with a known background, more than none.

    Source: Cowan, Cranmer, Gross and Vitells, Eur. Phys. J. C 71 (2011) 1554, equation 97.
    """
    s, b = np.maximum(np.asarray(signal, np.float64), 0.0), np.asarray(background, np.float64)
    return np.sqrt(2.0 * np.maximum((s + b) * np.log1p(s / b) - s, 0.0))


def equal_signal_edges(
    values: ArrayLike, weight: ArrayLike, bins: int, limits: tuple[float, float]
) -> Floats:
    """(B+1,) rising edges between which equally much signal lies, fewer where values repeat.

    The share below a value is taken as its running maximum; only the two limits without signal
    between them.
    """
    x, w = np.asarray(values, np.float64), np.asarray(weight, np.float64)
    inside = (x >= limits[0]) & (x <= limits[1])
    order = np.argsort(x[inside], kind="stable")
    x, share = x[inside][order], np.maximum.accumulate(np.cumsum(w[inside][order]))
    if len(x) == 0 or not share[-1] > 0:
        return np.array(limits)
    wanted = share[-1] * np.arange(1, bins) / bins
    inner = x[np.searchsorted(share, wanted)]
    inner = inner[(inner > limits[0]) & (inner < limits[1])]
    return np.unique(np.concatenate([[limits[0]], inner, [limits[1]]]))


def significance_edges(
    values: ArrayLike,
    weight: ArrayLike,
    is_signal: ArrayLike,
    bins: int,
    limits: tuple[float, float],
) -> Floats | None:
    """(B+1,) edges of the largest expected significance √ΣZ² over at most so many bins.

    All ways to merge 100 even fine bins are compared, by dynamic programming. A bin that has less
    than 10 effective events of background, or no positive sum of it, is not allowed; ``None`` where
    not even a single one is.
    """
    fine = np.linspace(*limits, _CANDIDATES + 1)
    background, signal = fill(values, weight, fine, np.asarray(is_signal, np.int64), 2)
    s, b, b2 = (
        np.concatenate([[0.0], np.cumsum(part)])
        for part in (signal.sumw, background.sumw, background.sumw2)
    )
    span = [np.subtract.outer(total, total).T for total in (s, b, b2)]  # [start, end]
    allowed = (span[1] > 0) & (span[1] ** 2 >= _ENOUGH * span[2]) & (span[2] > 0)
    gain = np.full(allowed.shape, -np.inf)
    gain[allowed] = significance(span[0][allowed], span[1][allowed]) ** 2
    best, starts = [gain[0]], []
    for _ in range(bins - 1):
        total = best[-1][:, None] + gain
        starts.append(total.argmax(axis=0))
        best.append(total.max(axis=0))
    count = int(np.argmax([row[-1] for row in best]))
    if not np.isfinite(best[count][-1]):
        return None
    edges = [_CANDIDATES]
    for index in reversed(range(count)):
        edges.append(int(starts[index][edges[-1]]))
    return fine[[0, *reversed(edges)]]


@dataclass(frozen=True, eq=False)
class Bump:
    """What a fit of the sidebands says of the signal region.

    Attributes:
        observed: events in the signal region; ``expected`` by the fit, with the fit's ``error``.
        significance: of the excess, in standard deviations; negative of a deficit.
        chi2: of the fit over its degrees of freedom; NaN without any.
        edges: (B + 1,) of all bins; ``counts`` and ``fitted`` are (B,), ``inside`` says which are
            in the signal region.
    """

    observed: int
    expected: float
    error: float
    significance: float
    chi2: float
    edges: Floats
    counts: Floats
    fitted: Floats
    inside: NDArray[np.bool_]


def counting_significance(observed: float, expected: float, error: float) -> float:
    """Significance of a count over a background that is known with a Gaussian error.

    Cousins, Linnemann & Tucker, NIM A 595 (2008) 480, eq. (25) as the profile likelihood ratio of
    Li & Ma (1983), with τ = expected / error²; negative of a deficit.
    """
    if not expected > 0:
        return float("nan")
    n, b, variance = float(observed), expected, max(error, 1e-9 * expected) ** 2
    first = n * math.log(n * (b + variance) / (b * b + n * variance)) if n > 0 else 0.0
    second = b * b / variance * math.log1p(variance * (n - b) / (b * (b + variance)))
    return math.copysign(math.sqrt(max(0.0, 2 * (first - second))), n - b)


def find_bump(
    values: Floats,
    region: tuple[float, float],
    window: tuple[float, float],
    *,
    bins: int = 30,
    order: int = 2,
) -> Bump:
    """Fit exp(polynomial) to the bins outside the signal region, by their Poisson likelihood.

    ``window`` reaches from the lower end of the sidebands to the upper; ``bins`` is the number of
    bins of the sidebands, and those of the signal region have about the same width.

    Raises:
        HepdannError: the region is not inside the window, or too few bins hold events.
    """
    low, high, first, last = *window, *region
    if not low < first < last < high:
        raise HepdannError(f"the region {first:g} to {last:g} is not within {low:g} to {high:g}")
    width = (high - low - (last - first)) / bins
    spans = ((low, first), (first, last), (last, high))
    parts = [np.linspace(a, b, max(1, round((b - a) / width)) + 1) for a, b in spans]
    edges = np.concatenate([parts[0], parts[1][1:], parts[2][1:]])
    middle, size = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    inside = (middle > first) & (middle < last)
    counts = np.histogram(values, edges)[0].astype(np.float64)
    sides = ~inside
    filled = np.count_nonzero(counts[sides])
    if filled <= order + 1:
        raise HepdannError(
            f"{int(counts[sides].sum())} events in {filled} bins of the sidebands "
            f"are too few to fit a polynomial of order {order}",
            mend="widen the window, or search behind looser cuts (--efficiencies 1,0.1)",
        )
    terms = np.polynomial.chebyshev.chebvander(2 * (middle - low) / (high - low) - 1, order)
    beta, covariance = _fit(terms[sides], counts[sides], size[sides])
    fitted = size * np.exp(terms @ beta)
    slope = (fitted[inside, None] * terms[inside]).sum(axis=0)
    expected = float(fitted[inside].sum())
    error = float(np.sqrt(slope @ covariance @ slope))
    observed = int(counts[inside].sum())
    free = int(sides.sum()) - order - 1
    pull = (counts[sides] - fitted[sides]) ** 2 / fitted[sides]
    return Bump(
        observed,
        expected,
        error,
        counting_significance(observed, expected, error),
        float(pull.sum() / free) if free > 0 else float("nan"),
        edges,
        counts,
        fitted,
        inside,
    )


def _fit(
    terms: Floats, counts: Floats, size: Floats
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parameters of largest Poisson likelihood of ``size · exp(terms β)``, and their covariance."""
    beta = np.zeros(terms.shape[1])
    beta[0] = np.log(counts.sum() / size.sum())
    for _ in range(_STEPS):
        mean = size * np.exp(np.clip(terms @ beta, -50, 50))
        curvature = terms.T @ (mean[:, None] * terms)
        step = np.linalg.lstsq(curvature, terms.T @ (counts - mean), rcond=None)[0]
        beta = beta + np.clip(step, -1, 1)
        if np.abs(step).max() < _SMALL:
            break
    mean = size * np.exp(np.clip(terms @ beta, -50, 50))
    covariance = np.linalg.pinv(terms.T @ (mean[:, None] * terms))
    return beta, np.asarray(covariance, dtype=np.float64)
