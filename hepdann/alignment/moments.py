"""Moments: shift and scale each feature so that the target has the source's mean and width.

At the inputs this is what adaptive batch normalisation does (Li et al., 2016): standardise each
domain by its own statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..tensors.domains import Target
from .base import common_width
from .standard import feature_moments

__all__ = ["Moments"]


@dataclass(frozen=True, eq=False)
class Moments:
    """x ↦ factor · x + offset, per feature.

    Attributes:
        factor: (F,) float64, σ_source / σ_target; 1 where a width is not positive.
        offset: (F,) float64, what brings the mean of the target to that of the source.
    """

    name: ClassVar[str] = "moments"
    summary: ClassVar[str] = "mean and width of each feature"

    factor: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def fit(cls, target: Target, source: Target, *, seed: int = 0) -> Self:
        """Compare weighted means and standard deviations; no label is read.

        Args:
            target: events to be mapped; all that are given are used.
            source: events whose moments they shall have (a ``Source`` is a ``Target``).
            seed: of no effect: nothing is random.

        Returns:
            The map. NaN and infinite entries have no part in it; a feature without finite entries
            on either side is left as it is.

        Raises:
            SchemaError: the sides have different numbers of features, or weights whose sum is not
                positive.
        """
        del seed
        width = common_width(target, source)
        factor, offset = np.ones(width), np.zeros(width)
        for j in range(width):
            here = feature_moments(target.features[:, j], target.weight, f"target feature {j}")
            there = feature_moments(source.features[:, j], source.weight, f"source feature {j}")
            if here is None or there is None:
                continue
            if here[1] > 0 and there[1] > 0:
                factor[j] = there[1] / here[1]
            offset[j] = there[0] - factor[j] * here[0]
        return cls(factor, offset)

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """Map target features.

        Args:
            x: (N, F); NaN passes.

        Returns:
            (N, F) float32.
        """
        return (np.asarray(x, dtype=np.float64) * self.factor + self.offset).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Everything :meth:`from_dict` needs, JSON-serialisable."""
        return {
            "map": self.name,
            "factor": self.factor.tolist(),
            "offset": self.offset.tolist(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described."""
        return cls(
            np.asarray(stored["factor"], dtype=np.float64),
            np.asarray(stored["offset"], dtype=np.float64),
        )
