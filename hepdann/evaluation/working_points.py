"""Working points: a threshold by its signal efficiency, what passes it, and where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..stats.classification import prior_matched_threshold
from ..stats.figure import NOTHING, Figure, as_weight, weighted_mean

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TargetThreshold:
    """The threshold that as large a share of the target passes as is expected; needs no label.

    ``error`` is statistical, of the share in MC and in the target; ``expected`` is the share, that
    of MC with the target's class fractions.
    """

    value: float
    error: float
    expected: Figure


@dataclass(frozen=True)
class WorkingPoint:
    """What passes a threshold that was set on MC.

    Attributes:
        efficiency: the signal efficiency that it is named by.
        threshold: events with a larger score pass; ``threshold_error`` is statistical.
        mc: (signal, background) efficiency on MC events that did not set the threshold.
        target: the same on the target; ``None`` where its truth is not known.
        passing: share of the target's events that pass, whatever they are.
        corrected: the threshold for the target; ``None`` where no events are given to set it.
    """

    efficiency: float
    threshold: float
    threshold_error: float
    mc: tuple[Figure, Figure]
    target: tuple[Figure, Figure] | None
    passing: Figure
    corrected: TargetThreshold | None = None

    @property
    def scale_factors(self) -> tuple[Figure, Figure] | None:
        """Target over MC efficiency of signal and background, errors added in quadrature."""
        if self.target is None:
            return None
        signal, background = (_ratio(t, m) for t, m in zip(self.target, self.mc, strict=True))
        return signal, background


@dataclass(frozen=True, eq=False)
class Profile:
    """(B,) efficiency of one class between edges (B+1,) of a variable, with binomial errors.

    The errors are those of weighted events; NaN in an empty bin.
    """

    edges: Floats
    value: Floats
    error: Floats

    @classmethod
    def of(cls, edges: Floats, figures: Sequence[Figure]) -> Profile:
        """A profile of one figure a bin."""
        value, error = np.array([(f.value, f.error) for f in figures], np.float64).reshape(-1, 2).T
        return cls(edges, value, error)


def threshold_at(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None, efficiency: float
) -> float:
    """The threshold that a share of the signal (label 1) passes, for "score > threshold".

    It is halfway between two scores; NaN without signal. The share above a threshold is taken as
    its running maximum.
    """
    signal = np.asarray(label) == 1
    w = as_weight(weight, len(signal))
    return prior_matched_threshold(np.asarray(score)[signal], w[signal], efficiency)


def matched_threshold(
    mc: tuple[ArrayLike, ArrayLike | None],
    target: tuple[ArrayLike, ArrayLike | None],
    threshold: float,
) -> TargetThreshold:
    """The threshold that as large a share of the target passes as of MC another one.

    Where a shift moves the scores of all classes alike, each class has the same efficiency at both.
    ``mc`` are score and weight of MC, with the class fractions that are expected in the target.
    """
    if not math.isfinite(threshold):
        return TargetThreshold(math.nan, math.nan, NOTHING)
    expected, passing = _share(*mc, threshold), _share(*target, threshold)
    spread = math.hypot(expected.error, passing.error)
    value, error = _quantile(*target, expected.value, spread)
    return TargetThreshold(value, error, expected)


def working_points(
    setting: tuple[ArrayLike, ArrayLike, ArrayLike | None],
    mc: tuple[ArrayLike, ArrayLike, ArrayLike | None],
    target: tuple[ArrayLike, ArrayLike | None, ArrayLike | None],
    efficiencies: Sequence[float] = (0.5, 0.6, 0.7, 0.8, 0.9),
    *,
    matching: tuple[ArrayLike | None, ArrayLike, ArrayLike | None] | None = None,
) -> list[WorkingPoint]:
    """Set thresholds on MC and count what passes them elsewhere.

    Args:
        setting: score, label (1 is signal) and weight of the MC events that set the thresholds;
            others than those of ``mc``, so that these are judged by thresholds that did not see
            them.
        mc: the same of the MC events that are counted.
        target: score, label or ``None``, and weight of the target.
        efficiencies: of signal, within (0, 1).
        matching: weights of the events of ``setting`` with the class fractions that are expected in
            the target, and score and weight of those target events that set its own threshold.
    """
    points = []
    for efficiency in efficiencies:
        threshold = threshold_at(*setting, efficiency)
        score, label, weight = target
        known = None if label is None else _both(score, label, weight, threshold)
        corrected = None
        if matching is not None:
            reference, other, counted = matching
            corrected = matched_threshold((setting[0], reference), (other, counted), threshold)
        points.append(
            WorkingPoint(
                efficiency,
                threshold,
                _threshold_error(*setting, threshold),
                _both(*mc, threshold),
                known,
                _share(score, weight, threshold),
                corrected,
            )
        )
    return points


def efficiency_profile(
    variable: ArrayLike,
    score: ArrayLike,
    selected: ArrayLike,
    weight: ArrayLike | None,
    edges: ArrayLike,
    threshold: float | ArrayLike,
) -> Profile:
    """Share of the selected events that pass, bin by bin of a variable.

    Events outside the (B+1,) edges, or NaN, are in no bin; the last edge belongs to the last bin.
    The threshold is one, or (B,) one a bin.
    """
    bins, edges = _bins(variable, edges)
    cut = np.broadcast_to(np.asarray(threshold, dtype=np.float64), (len(edges) - 1,))
    score, w = np.asarray(score), as_weight(weight, len(bins))
    selected = np.asarray(selected, dtype=bool)
    figures = []
    for index in range(len(edges) - 1):
        rows = selected & (bins == index)
        figures.append(weighted_mean((score[rows] > cut[index]).astype(np.float64), w[rows]))
    return Profile.of(edges, figures)


def flat_thresholds(
    variable: ArrayLike,
    score: ArrayLike,
    label: ArrayLike,
    weight: ArrayLike | None,
    edges: ArrayLike,
    efficiency: float,
) -> Floats:
    """(B,) a threshold a bin, such that the signal efficiency is the same in all of them."""
    bins, edges = _bins(variable, edges)
    score, label, w = np.asarray(score), np.asarray(label), as_weight(weight, len(bins))
    return np.array(
        [
            threshold_at(score[bins == i], label[bins == i], w[bins == i], efficiency)
            for i in range(len(edges) - 1)
        ]
    )


def _bins(variable: ArrayLike, edges: ArrayLike) -> tuple[NDArray[np.intp], Floats]:
    x, edges = np.asarray(variable, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    bins = np.searchsorted(edges, x, side="right") - 1
    bins[x == edges[-1]] = len(edges) - 2
    bins[~((x >= edges[0]) & (x <= edges[-1]))] = -1
    return bins, edges


def _both(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None, threshold: float
) -> tuple[Figure, Figure]:
    signal = np.asarray(label) == 1
    score, w = np.asarray(score), as_weight(weight, len(signal))
    one, other = (_share(score[rows], w[rows], threshold) for rows in (signal, ~signal))
    return one, other


def _threshold_error(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None, threshold: float
) -> float:
    """Of a threshold at a signal efficiency."""
    signal = np.asarray(label) == 1
    score, w = np.asarray(score)[signal], as_weight(weight, len(signal))[signal]
    share = _share(score, w, threshold)
    return _quantile(score, w, share.value, share.error)[1]


def _quantile(
    score: ArrayLike, weight: ArrayLike | None, share: float, error: float
) -> tuple[float, float]:
    """The threshold that a share passes, and half its way between the share's ends.

    Source of the error: Woodruff, J. Am. Stat. Assoc. 47 (1952) 635.
    """
    if not math.isfinite(share + error):  # of no events
        return math.nan, math.nan
    value, low, high = (
        prior_matched_threshold(score, weight, s) for s in (share, share - error, share + error)
    )
    return value, 0.5 * abs(low - high)


def _share(score: ArrayLike, weight: ArrayLike | None, threshold: float) -> Figure:
    passed = (np.asarray(score) > threshold).astype(np.float64)
    return weighted_mean(passed, as_weight(weight, len(passed)))


def _ratio(target: Figure, mc: Figure) -> Figure:
    if not (mc.value > 0 and target.value > 0):
        return Figure(math.nan, math.nan, min(target.n_eff, mc.n_eff))
    value = target.value / mc.value
    error = value * math.hypot(target.error / target.value, mc.error / mc.value)
    return Figure(value, error, min(target.n_eff, mc.n_eff))
