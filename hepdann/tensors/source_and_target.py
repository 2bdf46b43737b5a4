"""What training sees of the events: a labelled source, and a target that has no label field.

The label wall is a type: nothing that takes a :class:`Target` can read a target label, because
there is none to read. Truth labels of pseudo-data live in ``evaluation`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, Split, Split] = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Target:
    """Unlabelled events.

    Attributes:
        features: (N, F) float32 network inputs in the user's order; NaN marks a missing value.
        weight: (N,) float32 event weights, of either sign.
        event_id: (N,) uint64 identity of the event.
        split: (N,) uint8, 0 train, 1 validation, 2 test.
    """

    features: NDArray[np.float32]
    weight: NDArray[np.float32]
    event_id: NDArray[np.uint64]
    split: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """The events at ``rows`` (a mask or indices), every field alike."""
        fields = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return replace(self, **fields)

    def part(self, split: Split) -> Self:
        """The events of one split."""
        return self.take(self.split == SPLITS.index(split))

    def with_features(self, features: NDArray[np.float32]) -> Self:
        """The same events with other feature values, for example shifted or aligned ones."""
        return replace(self, features=np.asarray(features, dtype=np.float32))


@dataclass(frozen=True, eq=False)
class Source(Target):
    """Labelled events.

    Attributes:
        label: (N,) int32 class index.
        classes: the name of each class, by index.
        nuisances: (N, M) float32 columns that a method needs besides the features; ``None``
            unless some were asked for.
    """

    label: NDArray[np.int32]
    classes: tuple[str, ...]
    nuisances: NDArray[np.float32] | None = None
