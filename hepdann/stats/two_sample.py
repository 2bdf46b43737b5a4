"""Classifier two-sample test: whether two unlabelled samples differ, exact where they do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import HepdannError
from .distances import kolmogorov, wasserstein
from .figure import Figure, Floats, as_weight, effective_events, linearised
from .granularity import common_granularity
from .ranking import influence_of_ranks
from .reweighting import bin_edges, binned_or_missing, boosted_trees
from .threads import one_thread, side_by_side

SIGNIFICANT = 0.01
_BINS = 128
_MOST = 10_000  # rows of each sample
_FEWEST = 25  # events of each sample in each half
_ENOUGH, _FAR = 50, 12.0  # permutations, and their spreads from which none can be beyond


class Events(Protocol):
    """Unlabelled events: a :class:`Sample`, or a ``Target`` of :mod:`hepdann.tensors`."""

    @property
    def features(self) -> NDArray[np.floating]:
        """(N, F); NaN marks a missing value."""
        ...

    @property
    def weight(self) -> NDArray[np.floating]:
        """(N,) event weights, of either sign."""
        ...

    @property
    def event_id(self) -> NDArray[np.unsignedinteger]:
        """(N,) identity of the event; rows that share it are not independent."""
        ...


@dataclass(frozen=True, eq=False)
class Sample:
    """Events as three arrays, see :class:`Events`."""

    features: NDArray[np.floating]
    weight: NDArray[np.floating]
    event_id: NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class TwoSample:
    """Result of a two-sample test.

    Attributes:
        auc: area under the ROC curve of a classifier between the samples, on events that it was not
            trained on; .5 means no separation.
        auc_error: its standard error, events (not rows) counting as independent.
        p_value: probability of such a separation, or a better one, between equal samples.
        shift: whether the p-value is below .01. Detected does not mean worth adapting.
        n_mc: rows of MC that were used, ``n_target`` those of the target.
        granularity: the finest difference looked at in each feature; empty if not coarsened.
    """

    auc: float
    auc_error: float
    p_value: float
    shift: bool
    n_mc: int
    n_target: int
    granularity: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class _Pool:
    """Both samples, ready for a classifier."""

    features: Floats
    is_target: NDArray[np.bool_]
    weight: Floats  # mean 1 in each sample
    cluster: NDArray[np.intp]  # rows of one event of one sample
    held_out: NDArray[np.bool_]
    granularity: tuple[float, ...]


def two_sample(
    mc: Events,
    target: Events,
    *,
    seed: int = 0,
    coarsen: bool = True,
    max_events: int = _MOST,
    permutations: int = 500,
) -> TwoSample:
    """Classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017; Friedman 2003), weighted.

    Boosted trees learn to distinguish the samples on one half of the events and are judged on the
    other; an event (``event_id``) never has rows in both. An event of negative weight is given to
    the classifier as one of the other sample: where the weighted samples agree, that leaves nothing
    to learn, which |w| would not. The p-value is that of the held-out AUC over permutations of the
    events' sample, each AUC divided by its own error: studentised like that, the test keeps its
    level although the weights of the two samples are not exchangeable (Chung and Romano, Ann. Stat.
    41 (2013) 484).

    Both are brought to a common granularity first, see :mod:`.granularity`; without ``coarsen`` for
    numbers that were never rounded, such as a network's features. About ``max_events`` rows of each
    at most are used, drawn by event. The smallest p-value is 1/(permutations + 1).

    Raises:
        HepdannError: with fewer than about 60 events in a sample, or no positive sum of weights.
    """
    pool = _pool(mc, target, seed, coarsen, max_events)
    rank, cluster, area, error = _held_out_auc(pool, pool.held_out, seed)
    weight, is_target = pool.weight[pool.held_out], pool.is_target[pool.held_out]
    observed = (area - 0.5) / error
    generator = np.random.default_rng([seed, 1])
    sample_of = is_target[np.unique(cluster, return_index=True)[1]]
    drawn = list[float]()
    for _ in range(permutations):
        permuted = generator.permutation(sample_of)[cluster]
        a, e = _clustered(rank, permuted, weight, cluster)
        drawn.append((a - 0.5) / e)
        if len(drawn) == _ENOUGH and observed > np.mean(drawn) + _FAR * np.std(drawn):
            break  # no other would be beyond
    beyond = sum(not one < observed for one in drawn)
    p_value = (1 + beyond) / (1 + permutations)
    n_target = int(np.count_nonzero(pool.is_target))
    return TwoSample(
        auc=float(np.clip(area, 0.0, 1.0)),
        auc_error=error,
        p_value=p_value,
        shift=p_value < SIGNIFICANT,
        n_mc=len(pool.is_target) - n_target,
        n_target=n_target,
        granularity=pool.granularity,
    )


def combined(p_values: Sequence[float]) -> float:
    """The p-value of several tests together: the smallest, times their number (Bonferroni)."""
    return min(1.0, len(p_values) * min(p_values))


def separation(
    mc: Events, target: Events, *, seed: int = 0, coarsen: bool = True, max_events: int = _MOST
) -> Figure:
    """Held-out AUC between two samples, each half judged by the classifier of the other.

    The same classifier as in :func:`two_sample`, without the p-value and with twice the events in
    the figure: for comparing what is left of a shift after each of several maps. The halves'
    figures are correlated, so the error is that of one half.

    Raises:
        HepdannError: as :func:`two_sample`.
    """
    pool = _pool(mc, target, seed, coarsen, max_events)
    both = pool.held_out, ~pool.held_out
    halves = side_by_side(partial(_held_out_auc, pool, rows, seed) for rows in both)
    areas, errors = zip(*(half[2:] for half in halves), strict=True)
    n_eff = effective_events(pool.weight)
    return Figure(float(np.clip(np.mean(areas), 0.0, 1.0)), float(np.mean(errors)), n_eff)


def domain_classifier(
    mc: Events, target: Events
) -> tuple[Callable[[Floats], Floats], Floats, NDArray[np.bool_], Floats]:
    """The classifier of :func:`two_sample`, for questions beyond its AUC.

    Returns:
        What gives (n,) scores, larger for the target, of features in quantile bins; and of the
        events that it was not trained on such features (n, F), whether each is of the target, and
        weights, of mean 1 in each sample.

    Raises:
        HepdannError: as :func:`two_sample`.
    """
    pool = _pool(mc, target, 0, True, _MOST)
    held = pool.held_out
    predict, features = _trained(pool, ~held, 0)
    return predict, features[held], pool.is_target[held], pool.weight[held]


def _pool(mc: Events, target: Events, seed: int, coarsen: bool, max_events: int) -> _Pool:
    generator = np.random.default_rng([seed, 0])
    mc, target = (_draw(sample, max_events, generator) for sample in (mc, target))
    first, second = (np.asarray(s.features, dtype=np.float64) for s in (mc, target))
    granularity: tuple[float, ...] = ()
    if coarsen:
        first, second, finest = common_granularity(first, second, generator)
        granularity = tuple(float(v) for v in finest)
    weight = np.concatenate([_unit_mean(s.weight) for s in (mc, target)])
    is_target = np.repeat([False, True], [len(first), len(second)])
    ids, event = np.unique(np.concatenate([mc.event_id, target.event_id]), return_inverse=True)
    half = generator.permutation(np.arange(len(ids)) % 2 == 0)
    held_out = half[event]
    for part in range(4):
        rows = 2 * held_out + is_target == part
        if np.count_nonzero(rows) < _FEWEST or not weight[rows].sum() > 0:
            raise HepdannError(
                "too few events, or too many of negative weight, for a two-sample test",
                mend="it needs about 100 events of MC and of data",
            )
    cluster = np.asarray(2 * event + is_target)
    return _Pool(np.concatenate([first, second]), is_target, weight, cluster, held_out, granularity)


def _draw(sample: Events, most: int, generator: np.random.Generator) -> Events:
    """About ``most`` rows at most, whole events."""
    size = len(sample.features)
    if size <= most:
        return sample
    ids, event = np.unique(sample.event_id, return_inverse=True)
    kept = np.zeros(len(ids), dtype=bool)
    kept[generator.permutation(len(ids))[: round(most * len(ids) / size)]] = True
    rows = kept[event]
    return Sample(sample.features[rows], sample.weight[rows], sample.event_id[rows])


def _unit_mean(weight: NDArray[np.floating]) -> Floats:
    total = float(np.sum(weight, dtype=np.float64))
    return np.asarray(weight, dtype=np.float64) * (len(weight) / total if total > 0 else math.nan)


def _held_out_auc(
    pool: _Pool, held_out: NDArray[np.bool_], seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], float, float]:
    """Rank of the score and event of each held-out row; the AUC of these rows, and its error."""
    predict, features = _trained(pool, ~held_out, seed)
    _, rank = np.unique(predict(features[held_out]), return_inverse=True)
    cluster = np.unique(pool.cluster[held_out], return_inverse=True)[1]
    area, error = _clustered(rank, pool.is_target[held_out], pool.weight[held_out], cluster)
    return rank, cluster, area, error


def _trained(
    pool: _Pool, train: NDArray[np.bool_], seed: int
) -> tuple[Callable[[Floats], Floats], Floats]:
    """The scores of trees between the samples, and the features as quantile bins for them."""
    edges = bin_edges(pool.features[train], _BINS)
    features = binned_or_missing(pool.features, edges)
    weight = pool.weight[train]
    trees = boosted_trees(
        features[train], pool.is_target[train] ^ (weight < 0), np.abs(weight),
        seed=seed, iterations=40, learning_rate=0.15,
    )  # fmt: skip

    def predict(rows: Floats) -> Floats:
        with one_thread():
            return np.asarray(trees.decision_function(rows), dtype=np.float64)

    return predict, features


def _clustered(
    rank: NDArray[np.intp], positive: NDArray[np.bool_], weight: Floats, cluster: NDArray[np.intp]
) -> tuple[float, float]:
    """The area and its error with the rows of one event taken together."""
    area, influence = influence_of_ranks(rank, positive, weight)
    by_event = np.bincount(cluster, weights=influence).astype(np.float64)
    return area, linearised(by_event, effective_events(weight))


@dataclass(frozen=True)
class FeatureShift:
    """How one feature differs.

    Attributes:
        ks: largest distance between the two weighted cumulative distributions.
        p_value: of that distance between equal samples, corrected for the number of features (Holm,
            Scand. J. Stat. 6 (1979) 65).
        wasserstein: mean distance by which events would have to be moved, in σ of MC; its p-value
            is corrected likewise.
        mean_shift: (mean in target - mean in MC)/σ in MC.
        missing_mc: share of missing values in MC, by weight.
    """

    name: str
    ks: float
    p_value: float
    wasserstein: float
    wasserstein_p_value: float
    mean_shift: float
    missing_mc: float
    missing_target: float

    @property
    def differs(self) -> bool:
        """Whether one of the two tests says so at 1 %, each at half of it."""
        return any(p < 0.5 * SIGNIFICANT for p in (self.p_value, self.wasserstein_p_value))


def smallest_p_value(features: Sequence[FeatureShift]) -> float:
    """Of the hypothesis that no single feature differs, by both tests of each; 1 without any."""
    both = [p for f in features for p in (f.p_value, f.wasserstein_p_value) if np.isfinite(p)]
    return min(1.0, 2.0 * min(both, default=1.0))


def rank_features(
    mc: Events, target: Events, names: Sequence[str], *, seed: int = 0
) -> list[FeatureShift]:
    """Each feature by itself, the one that differs most first.

    Values are brought to a common granularity first, see :mod:`.granularity`.
    """
    generator = np.random.default_rng([seed, 2])
    first, second, _ = common_granularity(mc.features, target.features, generator)
    weights = [np.asarray(s.weight, dtype=np.float64) for s in (mc, target)]
    raw = []
    for i in range(len(names)):
        columns = (first[:, i], second[:, i])
        known = [np.isfinite(c) for c in columns]
        x = [c[k] for c, k in zip(columns, known, strict=True)]
        w = [v[k] for v, k in zip(weights, known, strict=True)]
        missing = [1.0 - float(v.sum() / u.sum()) for v, u in zip(w, weights, strict=True)]
        moved, moved_p = wasserstein(x[0], x[1], w[0], w[1], seed=seed)
        mean, sigma = _moments(x[0], w[0])
        moved = moved / sigma if sigma > 0 else moved
        difference = _moments(x[1], w[1])[0] - mean
        mean_shift = difference / sigma if sigma > 0 else 0.0 * difference
        raw.append((*kolmogorov(x[0], x[1], w[0], w[1]), moved, moved_p, mean_shift, *missing))
    ks_holm, moved_holm = (_holm(np.array([r[i] for r in raw])) for i in (1, 3))
    shifts = [
        FeatureShift(name, r[0], float(ks_holm[i]), r[2], float(moved_holm[i]), *r[4:])
        for i, (name, r) in enumerate(zip(names, raw, strict=True))
    ]
    return sorted(shifts, key=lambda f: -np.nan_to_num(f.ks, nan=-1.0))


def _moments(x: Floats, w: Floats) -> tuple[float, float]:
    """Weighted mean and standard deviation; NaN and 0 without a positive sum of weights."""
    total = w.sum()
    if not total > 0:
        return float("nan"), 0.0
    mean = float(w @ x / total)  # differs from the sum below in its last bits
    return float(np.sum(w * x) / total), float(max(w @ (x - mean) ** 2 / total, 0.0) ** 0.5)


def _holm(p_values: Floats) -> Floats:
    order = np.argsort(p_values)  # NaN last
    scaled = p_values[order] * np.arange(len(order), 0, -1)
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(np.fmax.accumulate(scaled), 1.0)
    return np.where(np.isnan(p_values), np.nan, corrected)


def correlation(features: ArrayLike, weight: ArrayLike | None = None) -> Floats:
    """(F, F) weighted linear correlation of every pair of features, within [-1, 1].

    Of each pair, the events where both are known count; NaN where a feature is constant.
    """
    x = np.asarray(features, dtype=np.float64)
    w = as_weight(weight, len(x))
    x = x - np.nanmean(x, axis=0) if len(x) else x  # against cancellation in the sums below
    known = np.isfinite(x).astype(np.float64)
    x = np.where(known > 0, x, 0.0)
    wk, wx, wxx = known * w[:, None], x * w[:, None], x**2 * w[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        count = known.T @ wk
        mean = known.T @ wx / count  # [a, b]: mean of b where a is known as well
        variance = known.T @ wxx / count - mean**2
        covariance = x.T @ wx / count - mean * mean.T
        coefficient = covariance / np.sqrt(variance * variance.T)
    return np.asarray(np.clip(coefficient, -1.0, 1.0))
