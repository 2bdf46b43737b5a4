"""The other side of the label wall: the only code that reads the labels of a target.

Training is handed a :class:`~hepdann.tensors.Target`, which has no labels. Whoever prepares a run
may carry a sealed :class:`Truth` past it to the functions of this room, which give an ordinary
source for the oracle, write labels beside the scores, and watch accuracies without a word to the
training.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from ..errors import SchemaError
from ..inputs import read_json
from ..outputs import write_whole
from ..stats.ranking import accuracy
from ..store.scores_file import TARGET_LABEL
from ..tensors import Source, Target, is_pseudo
from ..tensors.layout import TRUTH

if TYPE_CHECKING:
    from ..domains import Domains
    from ..tensors import Tensors

Digits = Annotated[str, Field(pattern=r"^\d{1,9}$")]
_TILE = 1 << 20  # labels read at a time


@dataclass(frozen=True, eq=False)
class Truth:
    """The true labels of one target, sealed: only the functions of ``evaluation`` open it.

    ``classes`` are names by label, empty where the file at ``path`` holds no MC; ``event_id`` are
    the (M,) identities of the events, in the order of the target.
    """

    path: Path
    classes: tuple[str, ...]
    event_id: NDArray[np.uint64]
    _label: NDArray[np.int32] = field(repr=False)

    def __len__(self) -> int:
        return len(self.event_id)


@dataclass(frozen=True, eq=False)
class TruthFile:
    """Where the true labels of a tensor file's targets are; nothing is read before it is needed."""

    tensors: Tensors

    def pseudo(self, rows: NDArray[np.int64] | None = None) -> Truth:
        """The truth of ``tensors.pseudo_target()``, or of increasing rows of the MC.

        Raises:
            SchemaError: the file holds no MC.
        """
        event_id, label = self._read("mc", "mc/label", "holds no MC", rows)
        if rows is None:
            half = is_pseudo(event_id, self.tensors.split_config.seed)
            event_id, label = event_id[half], label[half]
        return Truth(self.tensors.path, self.tensors.classes, event_id, label)

    def data(self, rows: NDArray[np.int64] | None = None) -> Truth:
        """The truth of ``tensors.target()``, or of increasing rows of it.

        Raises:
            SchemaError: the data's labels are not known.
        """
        event_id, label = self._read("data", TRUTH, "holds no true labels of the data", rows)
        return Truth(self.tensors.path, self.tensors.classes, event_id, label)

    def _read(
        self, domain: str, where: str, absent: str, rows: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        with self.tensors.read() as file:
            if where not in file:
                raise SchemaError(absent, where=self.tensors.path)
            event_id, label = (_at(file[place], rows) for place in (f"{domain}/event_id", where))
        return event_id, self.tensors.check_rows(where, label)


def _at(dataset: Any, rows: NDArray[np.int64] | None) -> NDArray[Any]:
    """Some rows, in order, of a dataset that need not fit into memory; by default all."""
    if rows is None:
        return np.asarray(dataset[...])
    parts = []
    for start in range(0, max(len(dataset), 1), _TILE):
        first, last = np.searchsorted(rows, [start, start + _TILE])
        parts.append(dataset[start : start + _TILE][rows[first:last] - start])
    return np.concatenate(parts)


def open_truth(tensors: Tensors) -> TruthFile:
    """The true labels that belong to the targets of a tensor file."""
    return TruthFile(tensors)


def truth_of(domains: Domains) -> Truth | None:
    """The true labels of the target of a training; ``None`` where they are not known."""
    file = open_truth(domains.holder)
    if domains.shift is not None:
        return file.pseudo(domains.rows)
    return file.data(domains.rows) if domains.holder.has_truth else None


def oracle_source(truth: Truth, target: Target, classes: Sequence[str] = ()) -> Source:
    """The target with its true labels: what the oracle, the ceiling of a study, is trained on.

    It is an ordinary source, which training cannot tell from MC. The target has all its rows, with
    features shifted as in training.

    Raises:
        SchemaError: the truth is that of other events.
    """
    return Source(
        features=target.features,
        weight=target.weight,
        event_id=target.event_id,
        split=target.split,
        label=true_labels(truth, target),
        classes=tuple(classes) or truth.classes,
    )


def write_truth(file: Any, truth: Truth) -> None:
    """Put a target's true labels beside its scores, in ``scores.h5`` that is being written.

    Raises:
        SchemaError: the truth is that of other events.
    """
    if not np.array_equal(file["target/event_id"][...], truth.event_id):
        raise SchemaError("holds the truth of other events than were scored", where=truth.path)
    file.create_dataset(TARGET_LABEL, data=truth._label.astype("<i4"))


class PeekObserver:
    """Records target accuracy epoch by epoch, without any return to the training.

    It is what a study would quote that picks its epoch by the target's labels, and is used for
    nothing. ``rows`` of the target are those whose scores will be shown; the file ``notes`` keeps
    the accuracies for a training that is resumed.

    Raises:
        SchemaError: the truth is that of other events.
    """

    def __init__(
        self, truth: Truth, target: Target, rows: NDArray[np.intp], notes: Path | None = None
    ) -> None:
        self._label = true_labels(truth, target)[rows]
        self._weight = np.asarray(target.weight, dtype=np.float64)[rows]
        self._notes = notes
        self._accuracies: dict[int, list[float]] = {}
        if notes is not None and notes.exists():
            kept = read_json(notes, dict[Digits, list[float]], nan=True)
            self._accuracies = {int(epoch): accuracies for epoch, accuracies in kept.items()}

    def record(self, epoch: int, scores: Sequence[ArrayLike | None]) -> None:
        """Note the accuracies of one epoch; one that is shown again, after a resume, is replaced.

        ``scores`` are (n, C) class probabilities of each member; ``None`` of one that has stopped.
        """
        self._accuracies[epoch] = [
            math.nan if score is None else accuracy(score, self._label, self._weight).value
            for score in scores
        ]

    def save(self) -> None:
        """Write the notes, if there is a file for them."""
        if self._notes is not None:
            self._notes.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._notes, json.dumps(self._accuracies).encode())

    def accuracy(self, epoch: int, member: int) -> float | None:
        """Accuracy of a member after an epoch; ``None`` if none was recorded."""
        accuracies = self._accuracies.get(epoch)
        return None if accuracies is None else accuracies[member]


def true_labels(truth: Truth, target: Target) -> NDArray[np.int32]:
    """(M,) labels of all rows of a target; for this room alone.

    Raises:
        SchemaError: the truth is that of other events.
    """
    if not np.array_equal(truth.event_id, target.event_id):
        raise SchemaError("holds the truth of other events than these", where=truth.path)
    return truth._label
