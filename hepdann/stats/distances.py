"""Distances of two weighted samples of one quantity, with their p-values.

Values are (N,) and (M,) finite, weights of either sign and 1 by default.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .figure import Floats, as_weight, effective_events

_CELLS, _TAIL = 400, 100  # of the bootstrap, and values on either side with cells of their own
_MOST = 10_000  # values of each sample in the bootstrap


def kolmogorov(
    first: ArrayLike,
    second: ArrayLike,
    weight_first: ArrayLike | None = None,
    weight_second: ArrayLike | None = None,
) -> tuple[float, float]:
    """Weighted two-sample Kolmogorov-Smirnov test.

    Returns:
        Largest distance between the cumulative distributions, and Kolmogorov's asymptotic
        p-value at the effective numbers of events (conservative where values are tied). NaN where
        a sample has no positive sum of weights.
    """
    from scipy.special import kolmogorov as survival

    x, w = _values((first, second), (weight_first, weight_second))
    if not all(v.sum() > 0 for v in w):
        return float("nan"), float("nan")
    rank = np.unique(np.concatenate(x), return_inverse=True)[1]
    signed = np.concatenate([w[0] / w[0].sum(), -w[1] / w[1].sum()])
    distance = float(np.abs(np.cumsum(np.bincount(rank, weights=signed)))[:-1].max(initial=0.0))
    n = [effective_events(v) for v in w]
    root = np.sqrt(n[0] * n[1] / (n[0] + n[1]))
    # Stephens, J. R. Stat. Soc. B 32 (1970) 115: good from a dozen events on
    return distance, float(survival((root + 0.12 + 0.11 / root) * distance))


def wasserstein(
    first: ArrayLike,
    second: ArrayLike,
    weight_first: ArrayLike | None = None,
    weight_second: ArrayLike | None = None,
    *,
    draws: int = 200,
    seed: int = 0,
) -> tuple[float, float]:
    """Weighted first Wasserstein distance ∫|F₁ - F₂| dx between two samples, with a p-value.

    The p-value asks how large the distance would be between equal samples. It comes from the
    multiplier bootstrap of both cumulative distributions, of 10,000 values at most (van der Vaart
    and Wellner, Weak Convergence, 1996, ch. 2.9): each event's own contribution, times a normal
    number. Weights need not be alike in the samples, nor positive. The tail is that of a gamma
    distribution with the mean and the variance of the draws, so that p-values far below 1/draws
    exist.

    Returns:
        The distance, in the units of the values, and the p-value; NaN where a sample has no
        positive sum of weights.
    """
    x, w = _values((first, second), (weight_first, weight_second))
    if not all(v.sum() > 0 for v in w):
        return float("nan"), float("nan")
    distance = _distance(x, w)
    generator = np.random.default_rng([seed, 5])
    kept = [generator.permutation(len(v))[:_MOST] for v in x]
    x, w = ([v[k] for v, k in zip(u, kept, strict=True)] for u in (x, w))
    if not all(v.sum() > 0 for v in w):
        return distance, float("nan")
    return distance, _p_value(_distance(x, w), x, w, draws, generator)


def _values(
    samples: tuple[ArrayLike, ...], weights: tuple[ArrayLike | None, ...]
) -> tuple[list[Floats], list[Floats]]:
    x = [np.asarray(values, dtype=np.float64) for values in samples]
    return x, [as_weight(w, len(v)) for w, v in zip(weights, x, strict=True)]


def _ordered(x: list[Floats], w: list[Floats]) -> tuple[NDArray[np.intp], Floats, list[Floats]]:
    """Order of all values, the gaps between them, and each sample's normalised weights."""
    order = np.argsort(np.concatenate(x), kind="stable")
    gaps = np.diff(np.concatenate(x)[order])
    return order, gaps, [v / v.sum() for v in w]


def _distance(x: list[Floats], w: list[Floats]) -> float:
    order, gaps, share = _ordered(x, w)
    signed = np.concatenate([share[0], -share[1]])[order]
    return float(np.abs(np.cumsum(signed)[:-1]) @ gaps)


def _p_value(
    distance: float, x: list[Floats], w: list[Floats], draws: int, generator: np.random.Generator
) -> float:
    from scipy.special import gammaincc

    order, gaps, share = _ordered(x, w)
    if not gaps.any():
        return 1.0
    which = np.repeat([0, 1], [len(v) for v in x])[order]
    value = np.concatenate([share[0], share[1]])[order]
    curves = [np.cumsum(np.where(which == k, value, 0.0))[:-1] for k in (0, 1)]
    ends = _ends(len(gaps))
    # Σ ε w (1[x ≤ t] - F(t)), of each sample with its own F, where cells of values end: of normal
    # numbers, the sum over a cell is one
    bridge = np.zeros((draws, len(ends)))
    for k in (0, 1):
        power = np.cumsum(np.where(which == k, value**2, 0.0))[[*ends, -1]]
        scale = np.sqrt(np.maximum(np.diff(power, prepend=0.0), 0.0))
        noise = np.cumsum(generator.standard_normal((draws, len(scale))) * scale, axis=1)
        bridge += noise[:, :-1] - noise[:, -1:] * curves[k][ends]
    nearest = np.searchsorted((ends[1:] + ends[:-1]) / 2, np.arange(len(gaps)))
    distances = np.abs(bridge) @ np.bincount(nearest, gaps)
    mean, variance = float(distances.mean()), float(distances.var(ddof=1))
    if not variance > 0:
        return 1.0
    return float(gammaincc(mean**2 / variance, distance * mean / variance))


def _ends(n: int) -> NDArray[np.intp]:
    """Which of n values cells end with: of equally many values, but in the tails of one each."""
    even = np.linspace(0, n - 1, min(n, _CELLS)).astype(np.intp)
    at = np.arange(n)
    return np.union1d(even, np.concatenate([at[:_TAIL], at[-_TAIL:]]))


_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


def proxy_distance(source: ArrayLike, target: ArrayLike, seed: int = 0) -> float:
    """Proxy A-distance ``2 (1 - 2 ε)``; 0 where nothing is distinguished, 2 where everything is.

    A linear support vector machine is trained on half of both samples, equally many of each, for
    each of some penalties; ε is its smallest error on the other half (Ben-David et al. 2006; Glorot
    et al. 2011; Ganin et al., JMLR 17 (2016) 59, section 5.1.5).
    """
    from sklearn.svm import LinearSVC

    generator = np.random.default_rng(seed)
    parts = [np.asarray(sample, np.float64) for sample in (source, target)]
    count = min(map(len, parts))
    x = np.concatenate([part[generator.permutation(len(part))[:count]] for part in parts])
    y = np.repeat([0, 1], count)
    x = (x - x.mean(0)) / max(float(x.std()), 1e-12)
    order = generator.permutation(2 * count)
    train, test = order[:count], order[count:]
    errors = []
    for penalty in _PENALTIES:
        machine = LinearSVC(C=penalty, dual=False, tol=1e-3, max_iter=200)
        machine.fit(x[train], y[train])
        errors.append(float(np.mean(machine.predict(x[test]) != y[test])))
    return 2.0 * (1.0 - 2.0 * min(min(errors), 0.5))
