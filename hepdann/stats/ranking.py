"""How well a score orders events: area under the ROC curve, and the curve with its band."""

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

    def to_dict(self) -> dict[str, Any]:
        """The curve as lists and numbers, for JSON (the first threshold becomes ``None``)."""
        out: dict[str, Any] = {
            name: [float(v) if math.isfinite(v) else None for v in getattr(self, name)]
            for name in _ARRAYS
        }
        out["auc"] = {name: getattr(self.auc, name) for name in ("value", "error", "n_eff")}
        return out

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The curve that :meth:`to_dict` described."""
        arrays = {
            name: np.array([math.inf if v is None else v for v in data[name]]) for name in _ARRAYS
        }
        return cls(auc=Figure(**data["auc"]), **arrays)


_ARRAYS = ("signal_efficiency", "background_efficiency", "thresholds", "error", "background_error")


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
    draws = np.empty((2, _REPLICAS, curve.shape[1]))
    for i in range(_REPLICAS):
        toy = _efficiencies(sumw + np.sqrt(sumw2) * generator.standard_normal(sumw.shape))
        for axis in (0, 1):
            x = np.concatenate([[0.0], toy[1 - axis]])
            draws[axis, i] = np.interp(curve[1 - axis], x, np.concatenate([[0.0], toy[axis]]))
    return np.asarray(draws.std(axis=1))
