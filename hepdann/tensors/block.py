"""A block of events on its way from a reader into a tensor file."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Block"]


@dataclass(frozen=True, eq=False)
class Block:
    """Some thousand events of one domain, every array with the same first axis.

    Attributes:
        features: (n, F) float32; NaN marks a missing value.
        spectators: (n, S) float32.
        weight: (n,) float32.
        sample: (n,) uint16, index into the domain's sample names.
        event_id: (n,) uint64.
        label: (n,) int32 class index; ``None`` in data.
        weights: further weights by name, each (n,) float32.
        truth: (n,) int32 true class of pseudo-data or simulated "data"; ``None`` elsewhere.
        views: images by name of the view, each (n, C, H, W) float32.
    """

    features: NDArray[np.float32]
    spectators: NDArray[np.float32]
    weight: NDArray[np.float32]
    sample: NDArray[np.uint16]
    event_id: NDArray[np.uint64]
    label: NDArray[np.int32] | None = None
    weights: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    truth: NDArray[np.int32] | None = None
    views: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.features)
