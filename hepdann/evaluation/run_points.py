"""Working points and efficiencies of the methods of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..registry import suggestion
from ..stats.figure import Figure, as_weight
from ..store.scores.reader import Domain, RunScores
from ..store.working_points import Efficiencies, StoredFigure, StoredPoint
from ..tensors import Split
from .working_points import (
    Profile,
    WorkingPoint,
    efficiency_profile,
    flat_thresholds,
    matched_threshold,
    threshold_at,
    working_points,
)

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]
Threshold = Literal["fixed", "flat", "target"]

EFFICIENCIES = (0.5, 0.6, 0.7, 0.8, 0.9)


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
    label = scores.column("mc", "label") if domain == "mc" else scores.truth()
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
) -> Profile | None:
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
            matched = matched_threshold(
                (setting.score, setting.reference),
                (validation.score, validation.weight),
                thresholds,
            )
            thresholds = matched.value
    selected = counted.label == (1 if of_signal else 0)
    values = variable[domain][counted.rows]
    return efficiency_profile(values, counted.score, selected, counted.weight, edges, thresholds)
