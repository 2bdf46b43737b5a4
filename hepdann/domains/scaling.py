"""The scaling of the inputs: as the MC of the training split has them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..tensors import Objects, Source


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
        """Fit on the training split of ``source``, events weighted by ``|w|``."""
        train = source.part("train")
        x = np.where(np.isnan(train.features), impute, train.features.astype(np.float64))
        weight = np.abs(train.weight.astype(np.float64))
        if not weight.any():
            weight = np.ones_like(weight)
        mean = np.average(x, axis=0, weights=weight)
        std = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
        return cls(np.asarray(impute, np.float64), mean, np.where(std > 0, std, 1.0))

    def with_objects(self, objects: Objects, weight: NDArray[np.float32]) -> Self:
        """The scaling of the rows of events with objects: of the features, and fitted of objects.

        The events are training events of the source; their objects have their weight (N,).
        """
        flat = objects.features.shape[1]
        pieces = [self.table[:, :flat]]
        for part, one in zip(objects.parts, objects.collections, strict=True):
            weights = np.repeat(np.abs(weight.astype(np.float64)), part.counts)
            values = part.values.astype(np.float64)
            share = weights[:, None] * np.isfinite(values)
            total = np.maximum(share.sum(axis=0), np.finfo(float).tiny)
            values = np.nan_to_num(values)
            mean = (share * values).sum(axis=0) / total
            std = np.sqrt((share * np.square(values - mean)).sum(axis=0) / total)
            of_objects = mean, mean, np.where(std > 0, std, 1.0)
            tiled = [np.tile(column, one.most) for column in of_objects]
            count = np.array([[0.0], [0.0], [1.0]])  # is a number, and stays one
            pieces.append(np.concatenate([count, np.stack(tiled)], axis=1))
        return type(self)(*np.concatenate(pieces, axis=1))

    def objects(self, events: Objects) -> Objects:
        """Scale events with objects, of whose rows this is the scaling."""
        flat = events.features.shape[1]
        starts = accumulate((one.width for one in events.collections), initial=flat)
        parts = []
        for (start, _), part in zip(pairwise(starts), events.parts, strict=True):
            one = self.columns(start + 1, start + 1 + part.values.shape[1])
            parts.append(replace(part, values=one.apply(part.values)))
        features = self.columns(0, flat).apply(events.features)
        return Objects(features, tuple(parts), events.collections)

    def columns(self, start: int, stop: int) -> Self:
        """That of some columns."""
        return type(self)(*self.table[:, start:stop])

    def with_parameter(self) -> Scaling:
        """The same with a last column that stays as it is."""
        more = {"impute": 0.0, "mean": 0.0, "std": 1.0}
        return Scaling(**{name: np.append(vars(self)[name], end) for name, end in more.items()})

    def without_parameter(self) -> Scaling:
        """What :meth:`with_parameter` was made of."""
        return Scaling(**{name: column[:-1] for name, column in vars(self).items()})

    def apply(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Scale (N, F) features; the result has no missing values."""
        x = np.array(features, np.float64)
        np.copyto(x, self.impute, where=np.isnan(x))
        x -= self.mean
        x /= self.std
        return x.astype(np.float32)

    @property
    def table(self) -> NDArray[np.float64]:
        """(3, F) what stands in for missing values, mean and standard deviation."""
        return np.stack([self.impute, self.mean, self.std])

    def to_dict(self) -> dict[str, list[float]]:
        """As JSON."""
        return {name: value.tolist() for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, entry: dict[str, list[float]]) -> Self:
        """From :meth:`to_dict`."""
        return cls(**{name: np.asarray(value, np.float64) for name, value in entry.items()})
