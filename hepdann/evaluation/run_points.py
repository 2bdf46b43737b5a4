"""Working points of a run: thresholds set on MC's validation split, counted on the test splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..stats.classification import prior_matched_threshold
from ..stats.figure import as_weight
from ..store.scores import Domain, RunScores
from ..tensors import SPLITS
from .working_points import (
    Profile,
    WorkingPoint,
    efficiency_profile,
    flat_thresholds,
    threshold_at,
    working_points,
)

__all__ = [
    "EFFICIENCIES",
    "PointRow",
    "Threshold",
    "point_rows",
    "run_profile",
    "run_thresholds",
    "run_working_points",
]

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]
Threshold = Literal["fixed", "flat", "target"]

EFFICIENCIES = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, eq=False)
class _Part:
    """Events of one domain and split: is it signal (``None``: not known), score, weight."""

    label: NDArray[np.intp] | None
    score: Floats
    weight: Floats
    rows: Rows


def _part(
    scores: RunScores, domain: Domain, method: str, split: str, signal: int, cut: Rows | None
) -> _Part:
    rows = scores.column(domain, "split") == SPLITS.index(split)
    if cut is not None:
        rows = rows & cut
    label = scores.column("mc", "label") if domain == "mc" else scores.truth()
    return _Part(
        None if label is None else (label[rows] == signal).astype(np.intp),
        np.asarray(scores.score(domain, method)[rows, signal], dtype=np.float64),
        as_weight(scores.column(domain, "weight")[rows], int(rows.sum())),
        rows,
    )


def run_working_points(
    scores: RunScores,
    method: str,
    efficiencies: Sequence[float] = EFFICIENCIES,
    *,
    signal: int = 1,
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
    setting = _part(scores, "mc", method, "validation", signal, None)
    mc = _part(scores, "mc", method, "test", signal, None)
    target = _part(scores, "target", method, "test", signal, None)
    assert setting.label is not None
    assert mc.label is not None
    return working_points(
        (setting.score, setting.label, setting.weight),
        (mc.score, mc.label, mc.weight),
        (target.score, target.label, target.weight),
        efficiencies,
    )


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
    part = _part(scores, "mc", method, "validation", signal, None)
    assert part.label is not None
    return {e: threshold_at(part.score, part.label, part.weight, e) for e in efficiencies}


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
            its validation split passes as of MC, for which no label of it is looked at.
        cut: (N,) events that count, by domain.

    Returns:
        The profile; ``None`` where the truth is not known.
    """
    keep = cut or {}
    setting = _part(scores, "mc", method, "validation", signal, keep.get("mc"))
    counted = _part(scores, domain, method, "test", signal, keep.get(domain))
    if counted.label is None:
        return None
    assert setting.label is not None
    known = setting.score, setting.label, setting.weight
    thresholds: float | Floats
    if threshold == "flat":
        x = variable["mc"][setting.rows]
        thresholds = flat_thresholds(x, *known, edges, working_point)
    else:
        thresholds = threshold_at(*known, working_point)
        if threshold == "target" and domain == "target":
            like = _part(scores, "target", method, "validation", signal, keep.get("target"))
            passing = setting.score > thresholds
            share = float(setting.weight[passing].sum() / setting.weight.sum())
            thresholds = prior_matched_threshold(like.score, like.weight, share)
    selected = counted.label == (1 if of_signal else 0)
    values = variable[domain][counted.rows]
    return efficiency_profile(values, counted.score, selected, counted.weight, edges, thresholds)
