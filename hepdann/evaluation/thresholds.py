"""Working points: a threshold by its signal efficiency, what passes it, and where; of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import RunError
from ..registry import suggestion
from ..stats.figure import NOTHING, Figure, as_weight, weighted_mean
from ..stats.ranking import prior_matched_threshold
from ..store.scores_reader import Domain, RunScores
from ..store.working_points import Efficiencies, StoredFigure, StoredPoint
from ..tensors import Split

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]
Threshold = Literal["fixed", "flat", "target"]
EFFICIENCIES = (0.5, 0.6, 0.7, 0.8, 0.9)


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
class EfficiencyProfile:
    """(B,) efficiency of one class between edges (B+1,) of a variable, with binomial errors.

    The errors are those of weighted events; NaN in an empty bin.
    """

    edges: Floats
    value: Floats
    error: Floats

    @classmethod
    def of(cls, edges: Floats, figures: Sequence[Figure]) -> EfficiencyProfile:
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


def _matched_threshold(
    mc: tuple[ArrayLike, ArrayLike | None],
    target: tuple[ArrayLike, ArrayLike | None],
    threshold: float,
) -> TargetThreshold:
    """The threshold that as large a share of the target passes as of MC another one."""
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
            corrected = _matched_threshold((setting[0], reference), (other, counted), threshold)
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
) -> EfficiencyProfile:
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
    return EfficiencyProfile.of(edges, figures)


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


@dataclass(frozen=True, eq=False)
class _Part:
    """Events of one domain and split: score, is it signal (``None``: not known), weight, rows.

    ``reference`` is the weight with the class fractions that are expected in the target.
    """

    score: Floats
    label: NDArray[np.intp] | None
    weight: Floats
    reference: Floats
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
    label = scores.label(domain)
    weight = scores.column(domain, "weight")
    reference = scores.reference_weight() if domain == "mc" else weight
    return _Part(
        np.asarray(scores.score(domain, method)[rows, signal], dtype=np.float64),
        None if label is None else (label[rows] == signal).astype(np.intp),
        as_weight(weight[rows], int(rows.sum())),
        as_weight(reference[rows], int(rows.sum())),
        rows,
    )


def run_working_points(
    scores: RunScores, method: str, efficiencies: Sequence[float] = EFFICIENCIES, *, signal: int = 1
) -> list[WorkingPoint]:
    """Working points of a method, for one class against all others.

    Thresholds are set on the validation splits; efficiencies, and the target's where its truth is
    known, are those of the test splits. An aligned method's threshold is that of MC, for which its
    map does nothing.
    """
    setting = _part(scores, "mc", method, "validation", signal)
    mc = _part(scores, "mc", method, "test", signal).events
    target = _part(scores, "target", method, "test", signal)
    outside = _part(scores, "target", method, "validation", signal)
    return working_points(
        setting.events,
        mc,
        (target.score, target.label, target.weight),
        efficiencies,
        matching=(setting.reference, outside.score, outside.weight),
    )


@dataclass(frozen=True)
class PointRow:
    """A working point of a method that selects a class, for a table."""

    method: str
    signal: str
    point: WorkingPoint

    def stored(self) -> StoredPoint:
        """What the run keeps of it: all but the target's truth."""
        point, corrected = self.point, self.point.corrected
        assert corrected is not None
        signal, background = map(_stored, point.mc)
        return StoredPoint(
            method=self.method,
            signal=self.signal,
            efficiency=point.efficiency,
            threshold=_stored(Figure(point.threshold, point.threshold_error, 0.0)),
            mc=Efficiencies(signal=signal, background=background),
            target_passing=_stored(point.passing),
            target_expected=_stored(corrected.expected),
            target_threshold=_stored(Figure(corrected.value, corrected.error, 0.0)),
        )


def _stored(figure: Figure) -> StoredFigure:
    value, error = (x if math.isfinite(x) else None for x in (figure.value, figure.error))
    return StoredFigure(value=value, error=error)


def point_rows(
    scores: RunScores,
    efficiencies: Sequence[float] = EFFICIENCIES,
    *,
    methods: Sequence[str] | None = None,
    signal: str | None = None,
) -> list[PointRow]:
    """The working points of methods, of every class but the first, or of ``signal`` alone.

    By default of all methods but the oracle. It was trained on the target: a threshold set on MC
    means nothing to it.

    Raises:
        RunError: no such method or class in the run.
    """
    known = [method for method in scores.methods if method != "oracle"]
    for name, kind, names in [
        *((method, "method with working points", known) for method in methods or ()),
        *([] if signal is None else [(signal, "class", scores.classes)]),
    ]:
        if name not in names:
            mend = suggestion(name, names)
            raise RunError(f"no {kind} {name!r}", where=scores.path.parent, mend=mend)
    classes = list(enumerate(scores.classes))[1:]
    if signal is not None:
        classes = [(scores.classes.index(signal), signal)]
    return [
        PointRow(method, name, point)
        for method in (known if methods is None else methods)
        for index, name in classes
        for point in run_working_points(scores, method, efficiencies, signal=index)
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
) -> EfficiencyProfile | None:
    """Efficiency of a method against a variable, on the test split; ``None`` without truth.

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
            set on MC's validation split. "target": for the target, the one of
            :func:`.working_points.matched_threshold`, for which none of its labels is used.
        cut: (N,) events that count, by domain.
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
            matched = _matched_threshold(
                (setting.score, setting.reference),
                (validation.score, validation.weight),
                thresholds,
            )
            thresholds = matched.value
    selected = counted.label == (1 if of_signal else 0)
    values = variable[domain][counted.rows]
    return efficiency_profile(values, counted.score, selected, counted.weight, edges, thresholds)
