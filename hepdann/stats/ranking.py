"""How well a score orders events, and how often it is right: ROC curve, AUC, accuracy, log loss.

Scores are (N, C) class probabilities, or (N,) the probability of class 1; labels are (N,) class
indices, and weights (N,) event weights of either sign, 1 by default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .figure import (
    NOTHING,
    Figure,
    Floats,
    as_weight,
    effective_events,
    linearised,
    residual_factor,
    weighted_mean,
)


def auc(score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None) -> Figure:
    """Area under the ROC curve with DeLong's error, weighted.

    The area is the weighted Mann-Whitney statistic Σᵢⱼ wᵢwⱼ([sᵢ>sⱼ] + ½[sᵢ=sⱼ])/(W₊W₋) of signal i
    and background j, which equals the trapezoidal area below the weighted ROC curve. Negative
    weights leave it unbiased; it is clipped to [0, 1]. The error is that of DeLong, DeLong and
    Clarke-Pearson (Biometrics 44 (1988) 837) with each event's placement value times its weight,
    and n/(n - 1) generalised to weights (:func:`~hepdann.stats.figure.residual_factor`).

    Of class probabilities (N, C) it is that of column 1 of two, or the mean of one-versus-rest over
    the classes that occur. NaN where fewer than two classes have a positive sum of weights.
    """
    score = np.asarray(score, dtype=np.float64)
    label = np.asarray(label)
    w = as_weight(weight, len(label))
    if score.ndim == 1 or score.shape[1] == 2:
        columns = [(score if score.ndim == 1 else score[:, 1], label == 1)]
    else:
        columns = [(score[:, c], label == c) for c in range(score.shape[1]) if (label == c).any()]
    areas = []
    influence = np.zeros(len(label))
    for column, positive in columns:
        area, one = auc_influence(column, positive, w)
        if math.isfinite(area):
            areas.append(area)
            influence += one
    if not areas:
        return NOTHING
    n_eff = effective_events(w)
    error = linearised(influence / len(areas), n_eff)
    return Figure(float(np.clip(np.mean(areas), 0.0, 1.0)), error, n_eff)


def auc_influence(
    score: Floats, positive: NDArray[np.bool_], weight: Floats
) -> tuple[float, Floats]:
    """The weighted area, unclipped, and the (N,) first-order influence of each event on it.

    The area's variance is the sum of the squared influences (over clusters, where events come in
    correlated groups). NaN and zeros where a class is missing or its weights do not sum to a
    positive number.
    """
    _, rank = np.unique(score, return_inverse=True)
    return influence_of_ranks(rank, positive, weight)


def influence_of_ranks(
    rank: NDArray[np.intp], positive: NDArray[np.bool_], weight: Floats
) -> tuple[float, Floats]:
    """:func:`auc_influence` of scores given as ranks 0, 1, 2, …, equal where scores are equal."""
    w_pos, w_neg = np.where(positive, weight, 0.0), np.where(positive, 0.0, weight)
    total_pos, total_neg = float(w_pos.sum()), float(w_neg.sum())
    if not (total_pos > 0 and total_neg > 0):
        return math.nan, np.zeros(len(rank))
    below_pos, below_neg = _below(rank, w_pos), _below(rank, w_neg)
    placement = np.where(positive, below_neg / total_neg, 1.0 - below_pos / total_pos)
    area = float(np.sum(w_pos * placement)) / total_pos
    share = weight / np.where(positive, total_pos, total_neg)
    factor = np.empty(len(rank))  # for equal weights DeLong's n/(n - 1)
    for side in (positive, ~positive):
        factor[side] = residual_factor(share[side])
    return area, share * (placement - area) * np.sqrt(factor)


def _below(rank: NDArray[np.intp], weight: Floats) -> Floats:
    """Sum of the weights below each event, half of those at its own score."""
    at = np.bincount(rank, weights=weight)
    return np.asarray((np.cumsum(at) - 0.5 * at)[rank])


_REPLICAS = 200  # of the bootstrap of a curve's band


@dataclass(frozen=True, eq=False)
class Roc:
    """A ROC curve, from (0, 0) to (1, 1), one entry a threshold.

    Attributes:
        signal_efficiency: (P,) share of signal at or above the threshold, never falling.
        background_efficiency: (P,) likewise of background.
        thresholds: (P,) falling, the first is +inf: nothing passes.
        error: (P,) standard error of the signal efficiency at fixed background efficiency.
        background_error: (P,) the other way round.
        auc: area below the curve, from all events.
        varied: (2, P) background efficiencies at the same signal efficiencies with the calibration
            of MC changed by an error, up and down; ``None`` where there is no calibration.
    """

    signal_efficiency: Floats
    background_efficiency: Floats
    thresholds: Floats
    error: Floats
    background_error: Floats
    auc: Figure
    varied: Floats | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The curve of JSON, where what is not finite, as the first threshold, is ``None``."""
        arrays = {
            name: np.array([math.inf if v is None else v for v in values])
            for name, values in data.items()
            if name not in ("auc", "varied")
        }
        return cls(auc=Figure(**data["auc"]), **arrays)


def roc(
    score: ArrayLike,
    label: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    signal: int = 1,
    points: int = 200,
) -> Roc:
    """The ROC curve of one class against the rest, with its statistical band.

    The curve is thinned to about ``points`` that are even in both efficiencies and in the logarithm
    of the background efficiency. With negative weights the efficiencies can fall as the threshold
    falls; they are made monotone (running maximum) and clipped to [0, 1]. The band is a parametric
    bootstrap: the content between neighbouring thresholds fluctuates with variance Σw².

    Raises:
        ValueError: if signal or background has no positive sum of weights.
    """
    score = np.asarray(score, dtype=np.float64)
    column = score if score.ndim == 1 else score[:, signal]
    positive = np.asarray(label) == signal
    w = as_weight(weight, len(positive))
    values, inverse = np.unique(-column, return_inverse=True)  # falling score
    content: Floats = np.array(  # (side, Σw or Σw², distinct score)
        [
            [np.bincount(inverse[side], v[side], len(values)) for v in (w, w**2)]
            for side in (positive, ~positive)
        ]
    )
    if not (content[:, 0].sum(axis=-1) > 0).all():
        raise ValueError("a ROC curve needs signal and background of positive total weight")
    curve = _efficiencies(content[:, 0])
    keep = _thin(curve, points)
    starts = np.concatenate([[0], keep[:-1] + 1])
    binned = np.add.reduceat(content, starts, axis=-1)
    curve = _efficiencies(binned[:, 0])
    error = _band(binned, curve)
    zero = np.zeros((2, 1))
    curve, error = np.hstack([zero, curve]), np.hstack([zero, error])
    area = auc(column, positive.astype(int), w)
    return Roc(
        signal_efficiency=curve[0],
        background_efficiency=curve[1],
        thresholds=np.concatenate([[math.inf], -values[keep]]),
        error=error[0],
        background_error=error[1],
        auc=area,
    )


def _efficiencies(content: Floats) -> Floats:
    """(…, P) contents by falling score → cumulated shares, monotone, within [0, 1], last 1."""
    total = content.sum(axis=-1, keepdims=True)
    share = np.maximum.accumulate(np.cumsum(content, axis=-1) / total, axis=-1)
    share = np.clip(share, 0.0, 1.0)
    share[..., -1] = 1.0
    return share


def _thin(curve: Floats, points: int) -> NDArray[np.intp]:
    """Indices of the thresholds to keep; the last is always there."""
    signal, background = curve
    even = np.linspace(0.0, 1.0, points)
    low = max(float(background[background > 0][0]), 1e-6)
    rare = np.geomspace(low, 1.0, points // 2)
    picked = [
        np.searchsorted(signal, even),
        np.searchsorted(background, even),
        np.searchsorted(background, rare),
    ]
    last = curve.shape[1] - 1
    return np.unique(np.minimum(np.concatenate([*picked, [last]]), last))


def _band(binned: Floats, curve: Floats) -> Floats:
    """(2, P) standard errors: of signal at fixed background efficiency, and the other way."""
    generator = np.random.default_rng(0)
    sumw, sumw2 = binned[:, 0], binned[:, 1]
    normal = generator.standard_normal((_REPLICAS, *sumw.shape))
    toys = np.pad(_efficiencies(sumw + np.sqrt(sumw2) * normal), ((0, 0), (0, 0), (1, 0)))
    draws = [[np.interp(curve[1 - i], toy[1 - i], toy[i]) for toy in toys] for i in (0, 1)]
    return np.asarray(np.std(draws, axis=1))


def as_scores(score: ArrayLike) -> Floats:
    """(N, C) class probabilities, of which two classes may be given as (N,)."""
    y = np.asarray(score, dtype=np.float64)
    return np.stack([1.0 - y, y], axis=1) if y.ndim == 1 else y


def predicted(score: ArrayLike, threshold: float = 0.5) -> NDArray[np.intp]:
    """(N,) the class each event is given: of two the second above a threshold, or the likeliest."""
    score = np.asarray(score)
    if score.ndim == 2 and score.shape[1] > 2:
        return np.asarray(score.argmax(axis=1))
    column = score if score.ndim == 1 else score[:, 1]
    return np.asarray(column > threshold).astype(np.intp)


def accuracy(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None, threshold: float = 0.5
) -> Figure:
    """Share of events, by weight, that are given their true class; see :func:`predicted`."""
    right = predicted(score, threshold) == np.asarray(label)
    return weighted_mean(right.astype(np.float64), as_weight(weight, len(right)))


def expected_accuracy(score: ArrayLike, source: ArrayLike, label: ArrayLike) -> Figure:
    """Accuracy on events without labels, as far as a classifier knows where it is right.

    Source: average thresholded confidence, Garg et al., ICLR 2022: the share of events with less
    entropy than a limit, above which as many labelled events lie as are wrong. The classifier was
    not trained on the labelled events, of score ``source``.
    """
    if not len(np.asarray(source)):
        return NOTHING
    sure, limits = (
        (p * np.log(np.clip(p, 1e-12, 1.0))).sum(axis=1) for p in map(as_scores, (score, source))
    )
    wrong = float(np.mean(predicted(source) != np.asarray(label)))
    right = (sure > np.quantile(limits, wrong)).astype(np.float64)
    return weighted_mean(right, np.ones(len(right)))


def log_loss(score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None) -> Figure:
    """Weighted mean of :func:`losses`."""
    loss = losses(score, label)
    return weighted_mean(loss, as_weight(weight, len(loss)))


def losses(score: ArrayLike, label: ArrayLike) -> Floats:
    """-ln(probability of the true class) of each event, in nats.

    Probabilities below float32's precision count as that: scores are stored as float32, where a
    confident network gives exact zeros.
    """
    y = as_scores(score)
    true_class = y[np.arange(len(y)), np.asarray(label)]
    return np.asarray(-np.log(np.maximum(true_class, float(np.finfo(np.float32).eps))))


def majority(label: ArrayLike, weight: ArrayLike | None = None) -> Figure:
    """Accuracy of giving every event the most frequent class, by weight."""
    label = np.asarray(label)
    w = as_weight(weight, len(label))
    if len(label) == 0:
        return NOTHING
    totals = np.bincount(label, weights=w)
    return weighted_mean((label == totals.argmax()).astype(np.float64), w)


def signal_fraction(label: ArrayLike, weight: ArrayLike | None = None) -> Figure:
    """Share of class 1, by weight."""
    label = np.asarray(label)
    return weighted_mean((label == 1).astype(np.float64), as_weight(weight, len(label)))


def prior_matched_threshold(score: ArrayLike, weight: ArrayLike | None, fraction: float) -> float:
    """The threshold that a given share of events passes; no label is looked at.

    It is halfway between two scores, for "score > threshold"; NaN without events. The share above a
    threshold, which negative weights can make fall, is taken as its running maximum.
    """
    score = np.asarray(score, dtype=np.float64)
    column = score if score.ndim == 1 else score[:, 1]
    w = as_weight(weight, len(column))
    if not w.sum() > 0:
        return math.nan
    values, rank = np.unique(-column, return_inverse=True)
    share = np.maximum.accumulate(np.cumsum(np.bincount(rank, weights=w)) / w.sum())
    best = int(np.argmin(np.abs(np.concatenate([[0.0], share]) - fraction)))  # scores that pass
    falling = -values
    if best == 0:
        return float(falling[0])
    if best == len(falling):
        return float(np.nextafter(falling[-1], -np.inf))
    return float(0.5 * (falling[best - 1] + falling[best]))


@dataclass(frozen=True, eq=False)
class Confusion:
    """Which class is taken for which: (C, C) Σw and Σw², [reconstructed, true]."""

    sumw: Floats
    sumw2: Floats

    @property
    def efficiency(self) -> Floats:
        """(C, C) share of each true class that is given each class: columns add up to 1."""
        return self._share(axis=0)

    @property
    def purity(self) -> Floats:
        """(C, C) share of each given class that is truly each class: rows add up to 1."""
        return self._share(axis=1)

    def _share(self, axis: int) -> Floats:
        total = self.sumw.sum(axis=axis, keepdims=True)
        return self.sumw / np.where(total > 0, total, np.nan)


def confusion(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None, threshold: float = 0.5
) -> Confusion:
    """Count, by weight, each pair of given and true class."""
    score = np.asarray(score)
    label = np.asarray(label)
    classes = 2 if score.ndim == 1 else score.shape[1]
    w = as_weight(weight, len(label))
    pair = predicted(score, threshold) * classes + label
    shape = (classes, classes)
    return Confusion(
        sumw=np.bincount(pair, weights=w, minlength=classes**2).reshape(shape).astype(float),
        sumw2=np.bincount(pair, weights=w**2, minlength=classes**2).reshape(shape).astype(float),
    )


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """A reliability curve (DeGroot and Fienberg, The Statistician 32 (1983) 12).

    Attributes:
        score: (B,) mean score of each bin; NaN in an empty one.
        signal: (B,) share of signal there.
        error: (B,) its binomial error for weighted events.
        expected: expected calibration error, Σ share of events · |signal - score|, with the error
            of the bins added in quadrature (Naeini et al., AAAI 2015).
    """

    score: Floats
    signal: Floats
    error: Floats
    expected: Figure


def calibration_curve(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None, bins: int = 10
) -> CalibrationCurve:
    """Compare (N,) probabilities of signal with the share of signal (label 1), in even bins.

    Bins with Σw ≤ 0 are empty.
    """
    score = np.asarray(score, dtype=np.float64)
    signal = (np.asarray(label) == 1).astype(np.float64)
    w = as_weight(weight, len(score))
    place = np.clip((score * bins).astype(np.intp), 0, bins - 1)
    means, shares, content = [], [], []
    for index in range(bins):
        rows = place == index
        means.append(weighted_mean(score[rows], w[rows]))
        shares.append(weighted_mean(signal[rows], w[rows]))
        content.append(w[rows].sum())
    share = np.array([f.value for f in shares])
    mean = np.array([f.value for f in means])
    error = np.array([f.error for f in shares])
    known = np.isfinite(share)
    part = np.array(content)[known] / np.array(content)[known].sum()
    expected = Figure(
        float(np.sum(part * np.abs(share[known] - mean[known]))),
        float(np.sqrt(np.sum((part * error[known]) ** 2))),
        sum(f.n_eff for f in shares),
    )
    return CalibrationCurve(mean, share, error, expected)
