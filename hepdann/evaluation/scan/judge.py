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

from ...criteria import agreement
from ...outputs import jsonable
from ...stats import cut_at, nuisance_bins
from ...stats.classification import accuracy, log_loss, majority, predicted
from ...stats.figure import Figure, weighted_mean
from ...stats.neighbours import disagreement, neighbours_of
from ...stats.ranking import auc, auc_influence, roc
from ...tensors import Source, Target
from ..metrics.method import named, number
from ..truth import Truth, true_labels

Floats = NDArray[np.floating[Any]]

MEMBER_FIGURES = (
    "mc_accuracy", "mc_auc", "mc_loss", "target_accuracy", "target_auc", "target_loss",
    "consistency", "agreement", "chosen_epoch", "chosen_target_accuracy", "chosen_target_auc",
    "peeked_epoch", "peeked_target_accuracy", "peeked_target_auc", "nuisance_rejection",
    "nuisance_inverse_jsd",
)  # fmt: skip

_NEIGHBOURHOOD = 20_000  # test events that the consistency uses
_NEIGHBOURS = 8
_ROC_POINTS = 60


@dataclass(eq=False)
class Epochs:
    """Figures by epoch of each member on the watched events; NaN without a teacher, or truth."""

    agreement: list[list[float]] = field(default_factory=list)
    accuracy: list[list[float]] = field(default_factory=list)
    auc: list[list[float]] = field(default_factory=list)

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

    def to_dict(self) -> dict[str, list[list[float | None]]]:
        """As JSON."""
        return dict(jsonable(self))

    @classmethod
    def from_dict(cls, entry: Mapping[str, list[list[float | None]]]) -> Epochs:
        """From :meth:`to_dict`."""
        nan = {
            name: [[math.nan if v is None else v for v in members] for members in values]
            for name, values in entry.items()
        }
        return cls(**nan)


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
        x = test.features[:_NEIGHBOURHOOD]
        near = neighbours_of(x, _NEIGHBOURS) if len(x) > _NEIGHBOURS else None
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
        nothing = [math.nan] * len(scores)
        epochs.agreement.append(
            nothing if teacher is None
            else [math.nan if (a := agreement(s, teacher, weight)) is None else a for s in scores]
        )  # fmt: skip
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
            for name, measure in (("accuracy", accuracy), ("auc", auc), ("loss", log_loss)):
                known = None if label is None else measure(score, label, weight)
                out |= named(f"{domain}_{name}", known)
        near = None
        if self._near is not None:
            n = len(self._near)
            near = weighted_mean(1.0 - disagreement(target[:n], self._near), self._weight[:n])
        out |= named("consistency", near)
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
        rounded = {
            name: [None if v is None else float(f"{v:.6g}") for v in value]
            for name, value in curve.to_dict().items()
            if name != "auc"
        }  # six digits are more than a figure shows
        return rounded | {"auc": jsonable(curve.auc)}

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
