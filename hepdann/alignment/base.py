"""What every alignment is, and the weighted moments of samples that maps are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import SchemaError
from ..tensors.source_and_target import Events, Target

Floats = NDArray[np.float64]


class Alignment(Protocol):
    """A fitted map of target features onto the source's."""

    @property
    def name(self) -> str:
        """The name for :func:`hepdann.alignment.get`."""
        ...

    def apply(self, x: Any) -> Any:
        """Map target features (N, F), NaN passing, to (N, F) float32; or objects to objects."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Everything ``from_dict`` needs, JSON-serialisable."""
        ...


class Mapper(Protocol):
    """The class of a map that can be fitted by name."""

    @property
    def name(self) -> str:
        """The name for :func:`hepdann.alignment.get`."""
        ...

    def fit(self, target: Target, source: Target, *, seed: int = 0) -> Alignment:
        """Fit on events, see :meth:`.Kind.fit`; no label is read."""
        ...

    def from_dict(self, stored: Mapping[str, Any]) -> Alignment:
        """The map that ``to_dict`` described."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayMap:
    """A map whose fields are float64 arrays, and which is stored as these."""

    name: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """Everything :meth:`from_dict` needs, JSON-serialisable."""
        arrays = {field.name: getattr(self, field.name).tolist() for field in fields(self)}
        return {"map": self.name, **arrays}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described."""
        return cls(*(np.asarray(stored[field.name], np.float64) for field in fields(cls)))


def common_width(target: Target, source: Target) -> int:
    """Number of features of both sides.

    Raises:
        SchemaError: they differ.
    """
    width = target.features.shape[1]
    if source.features.shape[1] != width:
        raise SchemaError(f"the source has {source.features.shape[1]} features, the target {width}")
    return int(width)


def drawn(events: Events, most: int, generator: np.random.Generator) -> Events:
    """At most so many events, in their order."""
    if len(events) <= most:
        return events
    return events.take(np.sort(generator.permutation(len(events))[:most]))


def check_total(total: float, events: int, what: str) -> None:
    """Whether weights can be those of a sample.

    Raises:
        SchemaError: their sum is not positive.
    """
    if not total > 0:
        raise SchemaError(
            f"the weights of its {events} events sum to {total:g}",
            where=what,
            mend="an alignment needs a positive sum of weights",
        )


@dataclass(frozen=True, eq=False)
class Standard:
    """Means and widths of a sample.

    Attributes:
        mean: (F,) weighted mean of each feature; 0 without a finite entry.
        width: (F,) weighted standard deviation; 0 where it is not positive, NaN without a finite
            entry.
    """

    mean: Floats
    width: Floats

    @classmethod
    def of(cls, events: Target, side: str) -> Self:
        """Of all events of a sample; ``side`` is "target" or "source", for the error.

        Raises:
            SchemaError: the weights of a feature's finite entries have no positive sum.
        """
        width = events.features.shape[1]
        mean, deviation = np.zeros(width), np.full(width, np.nan)
        for j in range(width):
            finite = np.isfinite(x := events.features[:, j])
            if not finite.any():
                continue
            values, w = x[finite].astype(np.float64), events.weight[finite].astype(np.float64)
            total = w.sum()
            check_total(total, int(finite.sum()), f"{side} feature {j}")
            mean[j] = w @ values / total
            variance = float(w @ (values - mean[j]) ** 2 / total)
            deviation[j] = np.sqrt(max(variance, 0.0))  # negative weights can make it negative
        return cls(mean, deviation)

    def unit(self, x: NDArray[np.floating]) -> Floats:
        """(N, F) in units of the width around the mean; what is not finite becomes 0, the mean."""
        scale = np.where(self.width > 0, self.width, 1.0)
        z = (np.asarray(x, dtype=np.float64) - self.mean) / scale
        return np.where(np.isfinite(x), z, 0.0)


def both_sides(target: Target, source: Target) -> tuple[Standard, Standard, NDArray[np.bool_]]:
    """Means and widths of target and source, and (F,) which features have a width in both.

    Raises:
        SchemaError: different numbers of features, or weights without a positive sum.
    """
    common_width(target, source)
    of_target, of_source = Standard.of(target, "target"), Standard.of(source, "source")
    return of_target, of_source, (of_target.width > 0) & (of_source.width > 0)


def unit_weight(weight: NDArray[np.floating]) -> Floats:
    """Weights divided by the mean of |w|; all ones if every weight is 0."""
    w = np.asarray(weight, dtype=np.float64)
    norm = float(np.mean(np.abs(w))) if len(w) else 0.0
    return w / norm if norm > 0 else np.ones_like(w)


def covariance(z: Floats, present: NDArray[np.bool_], weight: NDArray[np.floating]) -> Floats:
    """Weighted covariance (F, F) of standardised features, each pair from the events with both.

    Pairs from different events, and negative weights, can make a matrix that is none: eigenvalues
    below 10⁻⁶ of the largest are raised to that.
    """
    w = np.asarray(weight, dtype=np.float64)[:, None]
    filled = np.where(present, z, 0.0)
    total = (present * w).T @ present
    pairs = (filled * w).T @ filled
    matrix = np.divide(pairs, total, out=np.zeros_like(pairs), where=total > 0)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    values = np.maximum(values, max(float(values.max(initial=0.0)), 1e-12) * 1e-6)
    return np.asarray((vectors * values) @ vectors.T)
