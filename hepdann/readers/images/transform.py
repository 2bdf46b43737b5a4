"""What is done to the pixels of a channel before they are stored."""

from __future__ import annotations

from dataclasses import dataclass

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

    def apply(self, images: NDArray[np.float32]) -> None:
        """Change pixels in place.

        Args:
            images: (n, H, W), in any layout.
        """
        if self.identity:
            return
        hit = images != 0
        values = images[hit]
        if self.clip is not None:
            np.clip(values, *self.clip, out=values)
        if self.log:
            values = np.sign(values) * np.log1p(np.abs(values))
        images[hit] = values * np.float32(self.scale)
