"""How often a score is right: accuracy, log loss, confusion, thresholds.

Scores are (N, C) class probabilities, or (N,) the probability of class 1; labels are (N,) class
indices, and weights (N,) event weights of either sign, 1 by default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .figure import NOTHING, Figure, Floats, as_weight, weighted_mean


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
    entropy than a limit, above which as many labelled events lie as are wrong.

    Args:
        score: (N, C) or (N,) of the events.
        source: (M, C) or (M,) of labelled events that it was not trained on.
        label: (M,) their class.
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
class Calibration:
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


def calibration(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None, bins: int = 10
) -> Calibration:
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
    return Calibration(mean, share, error, expected)
