"""How much a score tells of a nuisance: what a cut does to it, and how the score moves with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .distances import kolmogorov
from .figure import effective_events
from .ranking import prior_matched_threshold

Floats = NDArray[np.float64]

_QUANTILES = (0.16, 0.84)  # a standard deviation below and above the mean of a Gaussian
_HALF_WIDTH = 0.05  # of a slice, in quantiles
_CATEGORIES = 20  # or bins
_LARGEST = 16.0  # logit that is distinguished
_SOFT = 0.3  # a cut is as wide, so that few events move no threshold by a jump
_FLOOR = 0.02  # least ratio of thresholds
_ROUNDS = 100


@dataclass(frozen=True)
class Cut:
    """A cut on the score, and what it does to the background's nuisance.

    Attributes:
        efficiency: of the signal; ``background_efficiency`` is the share of the background that
            passes.
        jsd: Jensen-Shannon divergence, in bits, of the background's nuisance before and after.
        floor: expectation of ``jsd`` for a score that tells nothing, at these numbers of events.
    """

    efficiency: float
    threshold: float
    background_efficiency: float
    jsd: float
    floor: float


def jensen_shannon(first: Floats, second: Floats) -> float:
    """Jensen-Shannon divergence of two histograms in bits, 0 to 1.

    Bins that negative weights leave below 0 count as empty. NaN where a histogram is empty.
    """
    p, q = (np.maximum(np.asarray(h, dtype=np.float64), 0) for h in (first, second))
    if p.sum() <= 0 or q.sum() <= 0:
        return float("nan")
    p, q = p / p.sum(), q / q.sum()
    mean = 0.5 * (p + q)

    def to_mean(h: Floats) -> float:
        known = h > 0
        return float((h[known] * np.log2(h[known] / mean[known])).sum())

    return 0.5 * (to_mean(p) + to_mean(q))


def nuisance_bins(nuisance: Floats, within: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
    """(n,) bin of each event: whole numbers of at most 20 values are bins of their own.

    Others have twenty bins with equally many of the events ``within`` in each; by default of all.
    """
    values = np.unique(nuisance)
    if len(values) <= _CATEGORIES and bool((values == np.round(values)).all()):
        return np.searchsorted(values, nuisance)
    counted = nuisance if within is None else nuisance[within]
    edges = np.unique(np.quantile(counted, np.linspace(0, 1, _CATEGORIES + 1)[1:-1]))
    return np.searchsorted(edges, nuisance, side="right")


def cut_at(
    efficiency: float,
    signal: tuple[Floats, Floats],
    background: tuple[Floats, Floats],
    where: NDArray[np.intp],
) -> Cut:
    """A cut that keeps a share of the signal.

    ``signal`` and ``background`` are score and weight of each; ``where`` is the bin of each
    background event in the nuisance.
    """
    threshold = prior_matched_threshold(*signal, efficiency)
    score, weight = background
    passes = score > threshold
    bins = int(where.max()) + 1
    before, after = (
        np.bincount(where, weights=w, minlength=bins).astype(np.float64)
        for w in (weight, np.where(passes, weight, 0))
    )
    kept = effective_events(weight[passes]) if passes.any() else 0.0
    fewer = 1 / kept - 1 / effective_events(weight) if kept > 0 else float("nan")
    return Cut(
        efficiency,
        threshold,
        float(weight[passes].sum() / weight.sum()),
        jensen_shannon(before, after),
        (bins - 1) / (8 * np.log(2)) * fewer,
    )


def slice_distance(
    score: Floats, nuisance: Floats, weight: Floats, within: NDArray[np.bool_] | None = None
) -> tuple[float, tuple[float, float]]:
    """Kolmogorov distance of the score between two slices of the nuisance, and their places.

    The slices are the tenths of the events ``within`` about the quantiles .16 and .84, which of a
    Gaussian lie a standard deviation below and above its mean; of whole numbers the lowest and
    highest value there.
    """
    if within is not None:
        score, nuisance, weight = score[within], nuisance[within], weight[within]
    slices, places = [], []
    for middle in _QUANTILES:
        low, high = np.quantile(nuisance, [middle - _HALF_WIDTH, middle + _HALF_WIDTH])
        chosen = (nuisance >= low) & (nuisance <= high)
        slices.append(chosen)
        places.append(float(np.median(nuisance[chosen])))
    if places[0] == places[1]:
        values = np.unique(nuisance)
        slices, places = (
            [nuisance == v for v in values[[0, -1]]],
            [float(values[0]), float(values[-1])],
        )
    a, b = slices
    distance, _ = kolmogorov(score[a], score[b], weight[a], weight[b])
    return distance, (places[0], places[1])


def rank_in_bins(
    fitted: Sequence[Floats], where_fitted: NDArray[np.intp], score: Floats, where: NDArray[np.intp]
) -> Floats:
    """(n,) share of the background in an event's own bin of the nuisance whose score is less.

    A cut on it is a threshold in each bin that keeps the same share of the background in all.
    ``fitted`` holds score and weight of the background that the shares are taken of.
    """
    rank = np.zeros(len(score))
    for index in np.unique(where):
        rows, events = where_fitted == index, where == index
        if not rows.any():
            continue
        order = np.argsort(fitted[0][rows], kind="stable")
        known, sums = fitted[0][rows][order], np.cumsum(fitted[1][rows][order])
        below = np.searchsorted(known, score[events], side="left")
        rank[events] = np.concatenate([[0.0], sums])[below] / sums[-1]
    return rank


def best_thresholds(
    signal: tuple[Floats, Floats, NDArray[np.intp]],
    background: tuple[Floats, Floats, NDArray[np.intp]],
    strength: float,
    start: Floats | None = None,
) -> tuple[Floats, float]:
    """Thresholds in bins of a nuisance: the least background at a divergence and half the signal.

    At the least of ``ln B + strength * JSD`` (in nats) for a given signal, the ratio of signal and
    background at the threshold of a bin is proportional to ``1 + strength * B dJSD/db``, b being
    what passes there of the background, and B all that passes. Signal and background are logit,
    weight and bin of their events; ``start`` is a solution near by.

    Returns:
        (bins,) thresholds from the common one, and this, which half of the signal passes.
    """
    bins = int(max(where.max() for _, _, where in (signal, background))) + 1
    edges = np.linspace(-_LARGEST, _LARGEST, 16 * int(_LARGEST) + 1)
    soft = 1 / (1 + np.exp((edges[:, None] - (edges[1:] + edges[:-1]) / 2) / _SOFT))
    pass_signal, passing = (
        np.histogram2d(where, np.clip(score, -_LARGEST, _LARGEST), (np.arange(bins + 1), edges),
                       weights=weight)[0] @ soft.T
        for score, weight, where in (signal, background)
    )  # fmt: skip
    half, before = pass_signal[:, 0].sum() / 2, _shares(passing[:, 0])
    offsets = np.zeros(bins) if start is None else start
    common = 0.0
    for _ in range(_ROUNDS):
        kept = np.sum(
            [np.interp(edges + off, edges, row)
             for off, row in zip(offsets, pass_signal, strict=True)], axis=0
        )  # fmt: skip
        common = float(np.interp(-half, -np.maximum.accumulate(kept[::-1])[::-1], edges))
        after = _shares(
            np.array([np.interp(common + off, edges, row)
                      for off, row in zip(offsets, passing, strict=True)])
        )  # fmt: skip
        slope = 0.5 * np.log(2 * after / (before + after))
        wanted = np.log(np.maximum(1 + strength * (slope - (after * slope).sum()), _FLOOR))
        offsets = offsets + 0.3 / max(1.0, strength / 3) * (wanted - offsets)
    return offsets, common


def _shares(content: Floats) -> Floats:
    positive = np.maximum(content / content.sum(), 1e-4)
    return np.asarray(positive / positive.sum())
