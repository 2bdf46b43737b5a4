"""Maps one after the other, each fitted to what the ones before it left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import Alignment

__all__ = ["Chain"]


@dataclass(frozen=True, eq=False)
class Chain:
    """Several maps as one.

    Attributes:
        maps: in the order in which they act.
    """

    maps: tuple[Alignment, ...]

    @property
    def name(self) -> str:
        """The names of the maps, joined with ``+``."""
        return "+".join(one.name for one in self.maps)

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """Map target features (N, F), NaN passing, to (N, F) float32."""
        mapped = np.asarray(x)
        for one in self.maps:
            mapped = one.apply(mapped)
        return np.asarray(mapped, dtype=np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Everything :func:`hepdann.alignment.from_dict` needs, JSON-serialisable."""
        return {"map": self.name, "maps": [one.to_dict() for one in self.maps]}
