"""The other side of the label wall: the only code that reads the labels of a target.

Training is handed a :class:`~hepdann.tensors.Target`, which has no labels, and may be handed the
:func:`oracle_source`, which is one more labelled source, and a :class:`PeekObserver`, which takes
scores and gives nothing back.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SchemaError
from ..tensors import Source, Target, Tensors, is_pseudo
from ..tensors.layout import TRUTH, h5_open
from .classification import accuracy

__all__ = ["PeekObserver", "Truth", "open_truth", "oracle_source"]


@dataclass(frozen=True, eq=False)
class Truth:
    """Access to the true labels of the targets that a tensor file can give.

    Attributes:
        path: the tensor file.
        classes: class names by label.
        salt: seed of the file's splits, which decides what pseudo-data is.
        has_data: whether the data's labels are known (simulated studies).
    """

    path: Path
    classes: tuple[str, ...]
    salt: int
    has_data: bool

    def pseudo(self) -> NDArray[np.int32]:
        """(M,) labels of the rows of ``tensors.pseudo_target()``, in order.

        Raises:
            SchemaError: the file holds no MC.
        """
        return self._of("mc")[1]

    def data(self) -> NDArray[np.int32]:
        """(M,) labels of the rows of ``tensors.target()``, in order.

        Raises:
            SchemaError: the data's labels are not known.
        """
        return self._of("data")[1]

    def labels(self, target: Target) -> NDArray[np.int32]:
        """(M,) labels of a whole target, shifted or not, known by its event ids.

        Raises:
            SchemaError: these are neither the file's pseudo-data nor its labelled data.
        """
        for domain in ("mc", "data") if self.has_data else ("mc",):
            try:
                event_id, label = self._of(domain)
            except SchemaError:
                continue
            if np.array_equal(event_id, target.event_id):
                return label
        raise SchemaError("holds no true labels of these target events", where=self.path)

    def _of(self, domain: str) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        with h5_open(self.path, "r") as file:
            where = {"mc": "mc/label", "data": TRUTH}[domain]
            if where not in file:
                raise SchemaError(
                    "holds no MC" if domain == "mc" else "holds no true labels of the data",
                    where=self.path,
                )
            event_id = np.asarray(file[domain]["event_id"][...])
            label = np.asarray(file[where][...], dtype=np.int32)
        if domain == "data":
            return event_id, label
        rows = is_pseudo(event_id, self.salt)
        return event_id[rows], label[rows]


def open_truth(tensors: Tensors) -> Truth:
    """The true labels that belong to a tensor file; nothing is read before they are asked for."""
    return Truth(tensors.path, tensors.classes, tensors.split_config.seed, tensors.has_truth)


def oracle_source(truth: Truth, target: Target) -> Source:
    """The target with its true labels: what the oracle, the ceiling of a study, is trained on.

    Args:
        truth: of the tensor file that the target is from.
        target: all rows of the pseudo-target or the target, with features shifted as in training.

    Returns:
        An ordinary source; training cannot tell it from MC.

    Raises:
        SchemaError: the labels are not known.
    """
    label = truth.labels(target)
    return Source(
        features=target.features,
        weight=target.weight,
        event_id=target.event_id,
        split=target.split,
        label=label,
        classes=truth.classes,
    )


class PeekObserver:
    """Watches target accuracy epoch by epoch, and tells training nothing.

    What it sees is what a study would quote that picks its epoch by the target's labels. It is
    written down so that nobody is fooled, and used for nothing.

    Args:
        label: (N,) true class of the events whose scores will be shown.
        weight: (N,) their weights; 1 by default.
    """

    def __init__(self, label: ArrayLike, weight: ArrayLike | None = None) -> None:
        self._label = np.asarray(label)
        self._weight = None if weight is None else np.asarray(weight, dtype=np.float64)
        self._seen: dict[int, tuple[float, ...]] = {}

    def record(self, epoch: int, scores: ArrayLike) -> None:
        """Note the accuracy of one epoch.

        Args:
            epoch: its number; an epoch shown again (after a resume) is replaced.
            scores: (N, C) class probabilities, or (K, N, C) of K members.
        """
        array = np.asarray(scores)
        stack = array[None] if array.ndim == 2 else array
        self._seen[epoch] = tuple(
            accuracy(member, self._label, self._weight).value for member in stack
        )

    @property
    def accuracies(self) -> dict[int, tuple[float, ...]]:
        """Epoch to the target accuracy of each member; for the history, after training."""
        return dict(self._seen)
