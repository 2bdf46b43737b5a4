"""Distances of two weighted samples of one quantity, with their p-values; nearest neighbours.

Values are (N,) and (M,) finite, weights of either sign and 1 by default.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .figure import Figure, Floats, as_weight, effective_events, weighted_mean
from .ranking import as_scores

_CELLS, _TAIL = 400, 100  # of the bootstrap, and values on either side with cells of their own
_MOST = 10_000  # values of each sample in the bootstrap
_SKEWNESS = 1.2  # of the distance between equal samples
_TREE_FEATURES = 15  # beyond that a tree looks at nearly every point, and brute force is faster
_BLOCK = 65_536  # points that are looked up at a time: (block, k) arrays stay small
Variant = Literal["default", "study"]


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
    distribution, moved to the mean and the variance of the draws, so that p-values far below
    1/draws exist.

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
    return beyond(distance, mean, variance)


def beyond(distance: float, mean: float, variance: float) -> float:
    """Probability of a larger distance ∫|B| of a Brownian bridge B, of this mean and variance.

    Its skewness is 1.0 (two values) to 1.3 (uniform ones), and so is that of Pearson's distribution
    of type III (a gamma distribution that is moved), which is taken. One that is not moved would
    have .7 for normal values, and half of a p-value of 1 %.
    """
    from scipy.special import gammaincc

    shape = 4.0 / _SKEWNESS**2
    return float(gammaincc(shape, max(shape + (distance - mean) * (shape / variance) ** 0.5, 0.0)))


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


def consistency(
    features: ArrayLike,
    score: ArrayLike,
    k: int = 8,
    variant: Variant = "default",
    weight: ArrayLike | None = None,
) -> Figure:
    """1 - (1/N) Σᵢ |ŷᵢ - (1/k) Σ_{j ∈ kNN(xᵢ)} ŷⱼ|, which needs no label.

    Source: the original ALEPH study, which ranked its networks by it (``variant="study"``). It asks
    for a smooth score, not for a right one: it is 1 where the score is locally constant. The error
    takes the N terms as independent.

    Raises:
        ValueError: with no more than k events.
    """
    count = len(np.asarray(features))
    if count <= k:
        raise ValueError(f"{k} neighbours need more than {count} events")
    terms = disagreement(score, neighbours_of(features, k, variant), variant)
    return weighted_mean(1.0 - terms, as_weight(weight, count))


def neighbours_of(
    features: ArrayLike, k: int = 8, variant: Variant = "default"
) -> NDArray[np.intp]:
    """(N, k) rows of the nearest events of each event.

    ``default`` looks for them in standardised features, where a missing value sits at the mean, and
    leaves the event itself out. ``study`` is the form of the original ALEPH study: features as they
    come, and each event is its own first neighbour.
    """
    x = np.asarray(features, dtype=np.float64)
    if variant == "study":
        return nearest(np.where(np.isnan(x), 0.0, x), k, itself=True)
    return nearest(_standardised(x), k)


def disagreement(score: ArrayLike, rows: NDArray[np.intp], variant: Variant = "default") -> Floats:
    """(N,) |ŷᵢ - mean of ŷ over the nearest events| of each event.

    For more than two classes |·| is half the sum over classes, which is the same for two. The
    neighbours' mean is unweighted: a sum of few signed weights would not bound it. ``rows`` are
    those of :func:`neighbours_of`; the study compares logits, by default it is probabilities.
    """
    y = as_scores(score)
    if variant == "study":
        tiny = float(np.finfo(np.float32).eps)
        p = np.clip(y, tiny, 1.0 - tiny)
        y = np.log(p / (1.0 - p))
    near = np.zeros_like(y)
    for column in rows.T:  # no (N, k, C) array
        near += y[column]
    return np.asarray(0.5 * np.abs(y - near / rows.shape[1]).sum(axis=1))


def nearest(points: Floats, k: int, *, itself: bool = False) -> NDArray[np.intp]:
    """(N, k) rows of the nearest of finite points (N, F), Euclidean and exact, in no order.

    Equal points, of which spiked features make many, are taken as they come; ``itself`` says
    whether a point counts as its own neighbour.
    """
    count = k if itself else k + 1
    if points.shape[1] <= _TREE_FEATURES:
        rows = _by_tree(points, count)
    else:
        from sklearn.neighbors import NearestNeighbors

        finder = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points)
        rows = np.asarray(finder.kneighbors(points, return_distance=False))
    if itself:
        return rows
    self_match = rows == np.arange(len(rows))[:, None]  # anywhere among equal points, or missing
    self_match[~self_match.any(axis=1), -1] = True
    return np.asarray(rows[~self_match].reshape(len(rows), -1))


def _by_tree(points: Floats, count: int) -> NDArray[np.intp]:
    from scipy.spatial import cKDTree

    # a sliding midpoint copes with the many equal values of spiked features
    tree = cKDTree(points, balanced_tree=False)
    order = np.asarray(tree.indices)  # neighbouring points meet the same leaves in the cache
    rows = np.empty((len(points), count), dtype=np.intp)
    for start in range(0, len(points), _BLOCK):
        block = order[start : start + _BLOCK]
        rows[block] = np.asarray(tree.query(points[block], k=count)[1]).reshape(-1, count)
    return rows


def _standardised(x: Floats) -> Floats:
    missing = np.isnan(x)
    known = np.where(missing, 0.0, x)
    count = np.maximum((~missing).sum(axis=0), 1)
    mean = known.sum(axis=0) / count
    centred = np.where(missing, 0.0, x - mean)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))
