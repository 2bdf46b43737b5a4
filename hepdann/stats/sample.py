"""What a test of two samples looks at: features, weights, and which rows are of one event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Events", "Sample"]


class Events(Protocol):
    """Unlabelled events: a :class:`Sample`, or a ``Target`` of :mod:`hepdann.tensors`."""

    @property
    def features(self) -> NDArray[np.floating]:
        """(N, F); NaN marks a missing value."""
        ...

    @property
    def weight(self) -> NDArray[np.floating]:
        """(N,) event weights, of either sign."""
        ...

    @property
    def event_id(self) -> NDArray[np.unsignedinteger]:
        """(N,) identity of the event; rows that share it are not independent."""
        ...


@dataclass(frozen=True, eq=False)
class Sample:
    """Events as three arrays.

    Attributes:
        features: (N, F); NaN marks a missing value.
        weight: (N,) event weights, of either sign.
        event_id: (N,) identity of the event; rows that share it are not independent.
    """

    features: NDArray[np.floating]
    weight: NDArray[np.floating]
    event_id: NDArray[np.unsignedinteger]
