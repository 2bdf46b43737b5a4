"""What every alignment is: fitted on two samples, applied to one, stored as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from ..errors import SchemaError
from ..tensors.source_and_target import Events, Target


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

    @property
    def summary(self) -> str:
        """One line for help and reports."""
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
