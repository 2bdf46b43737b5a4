"""What every alignment is: fitted on two samples, applied to one, stored as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SchemaError
from ..tensors.domains import Target

__all__ = ["Alignment", "Mapper", "common_width"]


class Alignment(Protocol):
    """A fitted map of target features onto the source's."""

    @property
    def name(self) -> str:
        """By which :func:`hepdann.alignment.get` knows it."""
        ...

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """Map target features.

        Args:
            x: (N, F); NaN passes.

        Returns:
            (N, F) float32.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """Everything ``from_dict`` needs, JSON-serialisable."""
        ...


class Mapper(Protocol):
    """The class of a map that can be fitted by name."""

    @property
    def name(self) -> str:
        """By which it is known."""
        ...

    @property
    def summary(self) -> str:
        """One line for help and reports."""
        ...

    def fit(self, target: Target, source: Target, *, seed: int = 0) -> Alignment:
        """Fit on events; no label is read."""
        ...

    def from_dict(self, stored: Mapping[str, Any]) -> Alignment:
        """The map that ``to_dict`` described."""
        ...


def common_width(target: Target, source: Target) -> int:
    """Number of features of both sides.

    Raises:
        SchemaError: they differ.
    """
    width = target.features.shape[1]
    if source.features.shape[1] != width:
        raise SchemaError(f"the source has {source.features.shape[1]} features, the target {width}")
    return int(width)
