"""Working points: thresholds by their signal efficiency, what passes them, and where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..stats.classification import prior_matched_threshold
from ..stats.figure import Figure, as_weight, weighted_mean
from ..store.scores import Domain, RunScores
from ..tensors import Split

__all__ = [
    "EFFICIENCIES", "PointRow", "Profile", "Threshold", "WorkingPoint", "efficiency_profile",
    "flat_thresholds", "point_rows", "run_profile", "run_thresholds", "run_working_points",
    "threshold_at", "working_points",
]  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WorkingPoint:
    """What passes a threshold that was set on MC.

    Attributes:
        efficiency: the signal efficiency that it is named by.
        threshold: events with a larger score pass.
        mc: (signal, background) efficiency on MC events that did not set the threshold.
        target: the same on the target; ``None`` where its truth is not known.
        passing: share of the target's events that pass, whatever they are.
    """

    efficiency: float
    threshold: float
    mc: tuple[Figure, Figure]
    target: tuple[Figure, Figure] | None
    passing: Figure

    @property
    def scale_factors(self) -> tuple[Figure, Figure] | None:
        """Target over MC efficiency of signal and background, errors added in quadrature."""
        if self.target is None:
            return None
        signal, background = (_ratio(t, m) for t, m in zip(self.target, self.mc, strict=True))
        return signal, background


@dataclass(frozen=True, eq=False)
class Profile:
    """Efficiency of one class against a variable.

    Attributes:
        edges: (B+1,) of the variable.
        value: (B,) efficiency; NaN in an empty bin.
        error: (B,) its binomial error for weighted events.
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
    """The threshold that a share of the signal passes.

    Args:
        score: (N,) larger for signal.
        label: (N,) truth: 1 (or true) is signal.
        weight: (N,) event weights of either sign; the share above a threshold is taken as its
            running maximum.
        efficiency: the share, within (0, 1).

    Returns:
        A threshold halfway between two scores, for "score > threshold"; NaN without signal.
    """
    signal = np.asarray(label) == 1
    w = as_weight(weight, len(signal))
    return prior_matched_threshold(np.asarray(score)[signal], w[signal], efficiency)


def working_points(
    setting: tuple[ArrayLike, ArrayLike, ArrayLike | None],
    mc: tuple[ArrayLike, ArrayLike, ArrayLike | None],
    target: tuple[ArrayLike, ArrayLike | None, ArrayLike | None],
    efficiencies: Sequence[float] = (0.5, 0.6, 0.7, 0.8, 0.9),
) -> list[WorkingPoint]:
    """Set thresholds on MC and count what passes them elsewhere.

    Args:
        setting: score, label (1 is signal) and weight of the MC events that set the thresholds;
            others than those of ``mc``, so that these are judged by thresholds that did not see
            them.
        mc: the same of the MC events that are counted.
        target: score, label or ``None``, and weight of the target.
        efficiencies: of signal, within (0, 1).
    """
    points = []
    for efficiency in efficiencies:
        threshold = threshold_at(*setting, efficiency)
        score, label, weight = target
        known = None if label is None else _both(score, label, weight, threshold)
        points.append(
            WorkingPoint(
                efficiency,
                threshold,
                _both(*mc, threshold),
                known,
                _share(score, weight, threshold),
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

    Args:
        variable: (N,); events outside the edges, or NaN, are in no bin.
        score: (N,).
        selected: (N,) the events of the class that is counted.
        weight: (N,) event weights of either sign; 1 by default.
        edges: (B+1,) rising; the last edge belongs to the last bin.
        threshold: one, or (B,) one a bin.
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


def _share(score: ArrayLike, weight: ArrayLike | None, threshold: float) -> Figure:
    passed = (np.asarray(score) > threshold).astype(np.float64)
    return weighted_mean(passed, as_weight(weight, len(passed)))


def _ratio(target: Figure, mc: Figure) -> Figure:
    if not (mc.value > 0 and target.value > 0):
        return Figure(math.nan, math.nan, min(target.n_eff, mc.n_eff))
    value = target.value / mc.value
    error = value * math.hypot(target.error / target.value, mc.error / mc.value)
    return Figure(value, error, min(target.n_eff, mc.n_eff))


Rows = NDArray[np.bool_]
Threshold = Literal["fixed", "flat", "target"]

EFFICIENCIES = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, eq=False)
class _Part:
    """Events of one domain and split: score, is it signal (``None``: not known), weight, rows."""

    score: Floats
    label: NDArray[np.intp] | None
    weight: Floats
    rows: Rows

    @property
    def events(self) -> tuple[Floats, NDArray[np.intp], Floats]:
        """Score, label and weight, where the label is known."""
        assert self.label is not None
        return self.score, self.label, self.weight


def _part(
    scores: RunScores,
    domain: Domain,
    method: str,
    split: Split,
    signal: int,
    cut: Rows | None = None,
) -> _Part:
    rows = scores.rows(domain, split)
    if cut is not None:
        rows = rows & cut
    label = scores.column("mc", "label") if domain == "mc" else scores.truth()
    return _Part(
        np.asarray(scores.score(domain, method)[rows, signal], dtype=np.float64),
        None if label is None else (label[rows] == signal).astype(np.intp),
        as_weight(scores.column(domain, "weight")[rows], int(rows.sum())),
        rows,
    )


def run_working_points(
    scores: RunScores, method: str, efficiencies: Sequence[float] = EFFICIENCIES, *, signal: int = 1
) -> list[WorkingPoint]:
    """Working points of a method.

    Thresholds are set on MC's validation split; efficiencies, and the target's where its truth is
    known, are those of the test splits.

    Args:
        scores: of the run.
        method: one of its methods; an aligned method's own threshold is that of MC, for which its
            map does nothing.
        efficiencies: of signal, within (0, 1).
        signal: the class that is selected, against all others.
    """
    setting = _part(scores, "mc", method, "validation", signal).events
    mc = _part(scores, "mc", method, "test", signal).events
    target = _part(scores, "target", method, "test", signal)
    return working_points(setting, mc, (target.score, target.label, target.weight), efficiencies)


@dataclass(frozen=True)
class PointRow:
    """A working point of a method, for a table.

    Attributes:
        method: its name.
        signal: the class that is selected.
        point: the thresholds and what passes them.
    """

    method: str
    signal: str
    point: WorkingPoint


def point_rows(scores: RunScores, efficiencies: Sequence[float] = EFFICIENCIES) -> list[PointRow]:
    """The working points of every method but the oracle, of every class but the first.

    The oracle was trained on the target: a threshold set on MC means nothing to it.

    Args:
        scores: of the run.
        efficiencies: of signal, within (0, 1).
    """
    methods = [method for method in scores.methods if method != "oracle"]
    classes = list(enumerate(scores.classes))[1:]
    return [
        PointRow(method, name, point)
        for method in methods
        for signal, name in classes
        for point in run_working_points(scores, method, efficiencies, signal=signal)
    ]


def run_thresholds(
    scores: RunScores, method: str, efficiencies: Sequence[float], *, signal: int = 1
) -> dict[float, float]:
    """Threshold of each signal efficiency, set on MC's validation split."""
    events = _part(scores, "mc", method, "validation", signal).events
    return {e: threshold_at(*events, e) for e in efficiencies}


def run_profile(
    scores: RunScores,
    method: str,
    variable: dict[Domain, Floats],
    edges: Floats,
    *,
    domain: Domain = "mc",
    signal: int = 1,
    of_signal: bool = True,
    working_point: float = 0.7,
    threshold: Threshold = "fixed",
    cut: dict[Domain, Rows] | None = None,
) -> Profile | None:
    """Efficiency of a method against a variable, on the test split.

    Args:
        scores: of the run.
        method: one of its methods.
        variable: (N,) values by domain, for every event of the run; those of MC, and those of
            ``domain``.
        edges: (B+1,) rising.
        domain: whose events are counted; the target's truth must be known.
        signal: the class that is selected, against all others.
        of_signal: the efficiency of signal, otherwise of the rest (the mistag rate).
        working_point: signal efficiency in MC that the threshold is named by.
        threshold: "fixed", one; "flat", one a bin, with the same signal efficiency in each; both
            set on MC's validation split. "target": for the target, one that as large a share of
            its validation split passes as of MC, for which none of its labels is used.
        cut: (N,) events that count, by domain.

    Returns:
        The profile; ``None`` where the truth is not known.
    """
    keep = cut or {}
    setting = _part(scores, "mc", method, "validation", signal, keep.get("mc"))
    counted = _part(scores, domain, method, "test", signal, keep.get(domain))
    if counted.label is None:
        return None
    thresholds: float | Floats
    if threshold == "flat":
        x = variable["mc"][setting.rows]
        thresholds = flat_thresholds(x, *setting.events, edges, working_point)
    else:
        thresholds = threshold_at(*setting.events, working_point)
        if threshold == "target" and domain == "target":
            validation = _part(scores, "target", method, "validation", signal, keep.get("target"))
            passing = setting.score > thresholds
            share = float(setting.weight[passing].sum() / setting.weight.sum())
            thresholds = prior_matched_threshold(validation.score, validation.weight, share)
    selected = counted.label == (1 if of_signal else 0)
    values = variable[domain][counted.rows]
    return efficiency_profile(values, counted.score, selected, counted.weight, edges, thresholds)
