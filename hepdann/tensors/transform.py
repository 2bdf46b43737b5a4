"""What was done to the pixels of a channel before they were stored, and how it is undone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Transform"]


@dataclass(frozen=True)
class Transform:
    """Pixels without a hit stay 0; of the others, x becomes ``scale · f(clip(x))``.

    Attributes:
        clip: smallest and largest value; ``None`` clips nothing.
        log: whether f is sign(x) log(1 + |x|), which keeps 0 and the sign; else it is x.
        scale: a factor.
    """

    clip: tuple[float, float] | None = None
    log: bool = False
    scale: float = 1.0

    @property
    def identity(self) -> bool:
        """Whether it changes nothing."""
        return self == Transform()

    def forward(self, values: NDArray[Any]) -> NDArray[Any]:
        """Transform values of hits, in their units; of the type of ``values``."""
        if self.clip is not None:
            values = np.clip(values, *self.clip)
        if self.log:
            values = np.sign(values) * np.log1p(np.abs(values))
        return np.asarray(values * values.dtype.type(self.scale))

    def inverse(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of hits as they were; what was clipped comes back as the limit."""
        values = values / values.dtype.type(self.scale)
        if self.log:
            values = np.sign(values) * np.expm1(np.abs(values))
        return values

    def apply(self, images: NDArray[np.float32]) -> None:
        """Change pixels in place.

        Args:
            images: (n, H, W), in any layout.
        """
        if not self.identity:
            hit = images != 0
            images[hit] = self.forward(images[hit])
