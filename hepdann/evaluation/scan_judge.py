"""Judges the members of a scan on one target: epoch by epoch, and at the end.

What is label-free (agreement, consistency) and what is not (accuracy, AUC) are computed side by
side and kept apart by name: ``chosen_…`` is what the first decides, ``peeked_…`` what a study
would quote that lets the target's labels decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..criteria import agreement
from ..outputs import jsonable
from ..stats import cut_at, nuisance_bins
from ..stats.figure import Figure, weighted_mean
from ..stats.ranking import accuracy, auc, auc_influence, majority, predicted, roc
from ..tensors import Source, Target
from .method_metrics import MEASURES, member_spread, named, neighbours, number, smoothness
from .truth import Truth, true_labels

Floats = NDArray[np.floating[Any]]
MEMBER_FIGURES = (
    "mc_accuracy", "mc_auc", "mc_loss", "target_accuracy", "target_auc", "target_loss",
    "consistency", "agreement", "chosen_epoch", "chosen_target_accuracy", "chosen_target_auc",
    "peeked_epoch", "peeked_target_accuracy", "peeked_target_auc", "nuisance_rejection",
    "nuisance_inverse_jsd",
)  # fmt: skip
_ROC_POINTS = 60
CRITERION = "teacher-agreement"
_SIGNIFICANT = 2.0  # standard errors; a smaller gap cannot be closed, nor left open
Row = Mapping[str, Any]
Key = tuple[str, float | None, str | None, float | None]


@dataclass(eq=False)
class Epochs:
    """Figures by epoch of each member on the watched events; none without a teacher, or truth."""

    agreement: list[list[float | None]] = field(default_factory=list)
    accuracy: list[list[float | None]] = field(default_factory=list)
    auc: list[list[float | None]] = field(default_factory=list)

    def of(self, member: int, *, choose: bool = True) -> dict[str, float | None]:
        """The ``chosen_…`` and ``peeked_…`` figures of one member; ``None`` where unknown.

        The epoch is chosen by agreement; without ``choose``, and without a teacher, it is the last.
        """
        columns = {
            name: np.array([one[member] for one in getattr(self, name)], dtype=np.float64)
            for name in ("agreement", "accuracy", "auc")
        }
        out: dict[str, float | None] = {}
        for name, judge in (("chosen", "agreement"), ("peeked", "accuracy")):
            by = columns[judge]
            best = int(np.nanargmax(by)) if np.isfinite(by).any() else None
            if name == "chosen" and (best is None or not choose):
                best = len(by) - 1
            out[f"{name}_epoch"] = None if best is None else best + 1
            for figure in ("accuracy", "auc"):
                value = math.nan if best is None else float(columns[figure][best])
                out[f"{name}_target_{figure}"] = number(value)
        return out

    def until(self, epoch: int) -> Epochs:
        """The figures of the first epochs."""
        return Epochs(**{name: values[:epoch] for name, values in vars(self).items()})


@dataclass(frozen=True, eq=False)
class ScanJudge:
    """Test events of one target with, sealed in this room, their truth; judges predictions.

    ``watched`` are the rows of ``target`` that are shown after each epoch.
    """

    mc: Source
    target: Target
    watched: NDArray[np.intp]
    _label: NDArray[np.int32] | None = field(repr=False)
    _near: NDArray[np.intp] | None = field(repr=False)

    @classmethod
    def of(
        cls, source: Source, target: Target, truth: Truth | None, watched: NDArray[np.intp]
    ) -> ScanJudge:
        """Take the test splits of labelled MC and target; ``watched`` are rows of the whole target.

        Raises:
            SchemaError: the truth is that of other events.
        """
        rows = np.flatnonzero(target.split == 2)
        test = target.take(rows)
        label = None if truth is None else true_labels(truth, target)[rows]
        near = neighbours(test)
        return cls(source.part("test"), test, np.searchsorted(rows, watched), label, near)

    def majority(self) -> float | None:
        """Target accuracy of always giving the most frequent class."""
        return None if self._label is None else number(majority(self._label, self._weight).value)

    @property
    def _weight(self) -> NDArray[np.float64]:
        return np.asarray(self.target.weight, np.float64)

    def watch(self, epochs: Epochs, scores: Sequence[Floats], teacher: Floats | None) -> None:
        """Note agreement, accuracy and AUC of one more epoch.

        ``scores`` are (n, C) class probabilities of each member on the watched events, ``teacher``
        those of the teacher, if there is one.
        """
        weight = self._weight[self.watched]
        label = None if self._label is None else self._label[self.watched]
        nothing: list[float | None] = [None] * len(scores)
        epochs.agreement.append(
            nothing if teacher is None else [agreement(s, teacher, weight) for s in scores]
        )
        for name, measure in (("accuracy", accuracy), ("auc", auc)):
            values = nothing if label is None else [measure(s, label, weight).value for s in scores]
            getattr(epochs, name).append(values)

    def figures(
        self, mc: Floats, target: Floats, teacher: Floats | None = None
    ) -> dict[str, float | None]:
        """Figures of one prediction, each with its ``…_error`` but for the agreement.

        ``mc`` are (n, C) class probabilities of the MC's test split, ``target`` and ``teacher`` (m,
        C) of the target's. The first eight and last two of :data:`MEMBER_FIGURES`; ``None`` for one
        that cannot exist.
        """
        out: dict[str, float | None] = {}
        for domain, score, label, weight in (
            ("mc", mc, self.mc.label, np.asarray(self.mc.weight, np.float64)),
            ("target", target, self._label, self._weight),
        ):
            for name, measure in MEASURES.items():
                known = None if label is None else measure(score, label, weight)
                out |= named(f"{domain}_{name}", known)
        out |= named("consistency", smoothness(target, self._near, self._weight))
        agreed = None if teacher is None else agreement(target, teacher, self._weight)
        return out | {"agreement": agreed} | self._cut(mc)

    def _cut(self, mc: Floats) -> dict[str, float | None]:
        """Rejection and 1/JSD (of the nuisance that moves most) at 50 % signal efficiency."""
        names = MEMBER_FIGURES[-2:]
        signal = self.mc.label == len(self.mc.classes) - 1
        if self.mc.nuisances is None or signal.all() or not signal.any():
            return dict.fromkeys(names)
        score, weight = mc[:, -1].astype(np.float64), np.asarray(self.mc.weight, np.float64)
        kept, refused = ((score[rows], weight[rows]) for rows in (signal, ~signal))
        cuts = [
            cut_at(0.5, kept, refused, nuisance_bins(column.astype(np.float64)))
            for column in self.mc.nuisances[~signal].T
        ]
        worst = max(cuts, key=lambda cut: cut.jsd)
        values = worst.background_efficiency, worst.jsd
        return {n: number(1 / v) if v > 0 else None for n, v in zip(names, values, strict=True)}

    def roc(self, target: Floats) -> dict[str, Any] | None:
        """The ROC curve of a prediction on the target; ``None`` where it cannot exist."""
        if self._label is None:
            return None
        try:
            curve = roc(target, self._label, self._weight, points=_ROC_POINTS)
        except ValueError:
            return None
        content = dict(jsonable(curve))
        del content["varied"]
        for name, value in content.items():
            if name != "auc":  # six digits are more than a figure shows
                content[name] = [None if v is None else float(f"{v:.6g}") for v in value]
        return content

    def gap(self, source: Floats, oracle: Floats) -> dict[str, float | None]:
        """The gap, oracle minus source-only, with paired errors; ``None`` without truth."""
        gaps: dict[str, Figure | None] = {"accuracy": None, "auc": None}
        label, weight = self._label, self._weight
        if label is not None:
            right = [(predicted(s) == label).astype(np.float64) for s in (oracle, source)]
            won = weighted_mean(right[0] - right[1], weight)
            gaps["accuracy"] = won
            if source.shape[-1] == 2:
                (a, one), (b, two) = (
                    auc_influence(np.asarray(s[:, 1], np.float64), label == 1, weight)
                    for s in (oracle, source)
                )
                error = float(np.sqrt(np.sum((one - two) ** 2)))
                gaps["auc"] = Figure(a - b, error, won.n_eff)
        return named("accuracy", gaps["accuracy"]) | named("auc", gaps["auc"])


def _group_of(row: Row) -> Key:
    """(method, λ, shift, t) of a row: what the seeds of a group share."""
    return row["method"], row["lambda"], row["shift"], row["t"]


def gap_closed(
    value: float | None, source: float | None, gap: float | None, error: float | None
) -> float | None:
    """``(value - source)/(oracle - source)``: 0 is source-only, 1 the oracle.

    ``gap`` is oracle minus source-only. ``None`` where it is not larger than two of its (paired)
    standard errors: there is nothing to close then, and the ratio would be noise over noise.
    """
    if value is None or source is None or gap is None or error is None:
        return None
    if not gap > _SIGNIFICANT * error:
        return None
    return (value - source) / gap


def summarise_scan(
    rows: Sequence[Row], groups: Sequence[Mapping[str, Any]], majorities: Mapping[Any, Any]
) -> dict[str, Any]:
    """Mean ± std of each group, its ensemble, the gap closed, and the choice of λ, for JSON.

    ``rows`` are one a member, as ``scan.csv`` has them; ``groups`` one a (method, λ, shift, t),
    with the ``ensemble`` figures of the mean score, and of the oracle with ``gap``; ``majorities``
    the target accuracy of the most frequent class by (shift, t).
    """
    members: dict[Key, list[Row]] = {}
    for row in rows:
        members.setdefault(_group_of(row), []).append(row)
    gaps = {(g["shift"], g["t"]): g["gap"] for g in groups if g.get("gap")}
    sources = {(g["shift"], g["t"]): g["ensemble"] for g in groups if g["method"] == "source-only"}
    out = [
        _group(
            group, members[_group_of(group)], gaps, sources, majorities[group["shift"], group["t"]]
        )
        for group in groups
    ]
    return {"groups": out, "choices": choose_lambdas(out)}


def _group(
    group: Mapping[str, Any],
    members: Sequence[Row],
    gaps: Mapping[Any, Any],
    sources: Mapping[Any, Any],
    majority: float | None,
) -> dict[str, Any]:
    point = group["shift"], group["t"]
    blocks: dict[str, Any] = {}
    for name, prefix in (("last_epoch", ""), ("chosen", "chosen_"), ("peeked", "peeked_")):
        figures = ("target_accuracy", "target_auc", *(() if prefix else _LAST))
        blocks[name] = {
            figure: member_spread(row[f"{prefix}{figure}"] for row in members) for figure in figures
        }
        if prefix:
            blocks[name]["epochs"] = [row[f"{prefix}epoch"] for row in members]
    gap, source = gaps.get(point) or {}, sources.get(point) or {}
    return {
        "method": group["method"],
        "lambda": group["lambda"],
        "shift": group["shift"],
        "t": group["t"],
        "members": len(members),
        "majority": majority,
        "ensemble": dict(group["ensemble"]),
        **blocks,
        "gap_closed": {
            figure: gap_closed(
                group["ensemble"][f"target_{figure}"],
                source.get(f"target_{figure}"),
                gap.get(figure),
                gap.get(f"{figure}_error"),
            )
            for figure in ("accuracy", "auc")
        },
    }


_LAST = ("mc_accuracy", "mc_auc", "consistency", "agreement", "validation_loss")


def choose_lambdas(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The λ of each method at each target: by agreement with the teacher, which needs no label.

    ``peeked_lambda`` is what the target's labels would have chosen. It is shown so that nobody is
    fooled, and used for nothing. One entry a (method, shift, t).
    """
    by_target: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for group in groups:
        by_target.setdefault((group["method"], group["shift"], group["t"]), []).append(group)
    choices = []
    for (method, shift, t), candidates in by_target.items():
        best = _best(candidates, "agreement")
        peeked = _best(candidates, "target_accuracy")
        fallback = candidates[len(candidates) // 2]
        choices.append(
            {
                "method": method,
                "shift": shift,
                "t": t,
                "criterion": CRITERION if best is not None and len(candidates) > 1 else None,
                "lambda": (best or fallback)["lambda"],
                "peeked_lambda": None if peeked is None else peeked["lambda"],
            }
        )
    return choices


def _best(candidates: Sequence[Mapping[str, Any]], figure: str) -> Mapping[str, Any] | None:
    known = [c for c in candidates if c["ensemble"][figure] is not None]
    return max(known, key=lambda c: float(c["ensemble"][figure]), default=None)
