"""Feature scaling, fitted on the MC training split and kept with the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..tensors import Source

__all__ = ["Scaling"]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Impute, subtract the mean, divide by the standard deviation; per feature.

    Attributes:
        impute: (F,) what stands in for a missing value (NaN).
        mean: (F,) weighted mean of the MC training split.
        std: (F,) weighted standard deviation; 1 where the feature is constant.
    """

    impute: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def fit(cls, source: Source, impute: NDArray[np.float64]) -> Self:
        """Fit on the training split of ``source``, events weighted by ``|w|``.

        Args:
            source: labelled MC, all splits.
            impute: (F,) stand-ins for missing values, from the tensor file.
        """
        train = source.part("train")
        x = np.where(np.isnan(train.features), impute, train.features.astype(np.float64))
        weight = np.abs(train.weight.astype(np.float64))
        if not weight.any():
            weight = np.ones_like(weight)
        mean = np.average(x, axis=0, weights=weight)
        std = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
        return cls(np.asarray(impute, np.float64), mean, np.where(std > 0, std, 1.0))

    def with_parameter(self) -> Scaling:
        """The same with a last column that stays as it is."""
        more = {"impute": 0.0, "mean": 0.0, "std": 1.0}
        return Scaling(**{name: np.append(vars(self)[name], end) for name, end in more.items()})

    def apply(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Scale (N, F) features; the result has no missing values."""
        x = np.array(features, np.float64)
        np.copyto(x, self.impute, where=np.isnan(x))
        x -= self.mean
        x /= self.std
        return x.astype(np.float32)

    def to_dict(self) -> dict[str, list[float]]:
        """As JSON."""
        return {name: value.tolist() for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, entry: dict[str, list[float]]) -> Self:
        """From :meth:`to_dict`."""
        return cls(**{name: np.asarray(value, np.float64) for name, value in entry.items()})
