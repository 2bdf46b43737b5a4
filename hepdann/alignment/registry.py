"""Alignments by name: single ones, one after the other, and those of objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError
from ..registry import ALIGNMENTS
from ..tensors import Objects
from ..tensors.source_and_target import Target
from .base import Alignment, Mapper

_Mapper = TypeVar("_Mapper", bound=Mapper)


@dataclass(frozen=True, eq=False)
class Chain:
    """Several maps as one, each fitted to what the ones before it left.

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


@dataclass(frozen=True, eq=False)
class ObjectMap:
    """A map of the features of the event, and of those of each collection's objects.

    It moves objects and neither adds nor loses one.

    Attributes:
        maps: of each table, as :attr:`.Objects.tables` has them.
    """

    maps: tuple[Alignment, ...]

    @property
    def name(self) -> str:
        """The name of each map."""
        return self.maps[0].name

    def apply(self, x: Any) -> Objects:
        """Map the objects of target events; a missing value stays."""
        mapped: Objects = x.mapped(lambda number, table: self.maps[number].apply(table))
        return mapped

    def to_dict(self) -> dict[str, Any]:
        """Everything :func:`hepdann.alignment.from_dict` needs, JSON-serialisable."""
        return {"map": self.name, "tables": [one.to_dict() for one in self.maps]}


@dataclass(frozen=True)
class Kind:
    """A kind of alignment, not yet fitted.

    Attributes:
        name: one of :func:`names`, or several joined with ``+``, which act from left to right.
    """

    name: str

    @property
    def by_feature(self) -> bool:
        """Whether it maps every feature by itself, so that it can map those of objects."""
        return all(getattr(_mapper(part), "by_feature", False) for part in self.name.split("+"))

    def fit(self, target: Target, source: Target, *, seed: int = 0) -> Alignment:
        """Fit on events; no label is read.

        Args:
            target: events to be mapped; all that are given are used, by their weights.
            source: events that they shall look like (a ``Source`` is a ``Target``).
            seed: of what is random in the fit; closed forms do not look at it.

        Raises:
            SchemaError: the sides have different numbers of features, or weights whose sum is not
                positive.
        """
        maps: list[Alignment] = []
        for part in self.name.split("+"):
            maps.append(_mapper(part).fit(target, source, seed=seed))
            target = target.with_features(maps[-1].apply(target.features))
        return maps[0] if len(maps) == 1 else Chain(tuple(maps))


def names() -> tuple[str, ...]:
    """Names of the single maps; joined with ``+`` they act from left to right."""
    return tuple(ALIGNMENTS)


def get(name: str) -> Kind:
    """Find a kind of alignment.

    Args:
        name: one of :func:`names`, or several joined with ``+`` (``affine+quantile``).

    Raises:
        ConfigError: no alignment of that name; the nearest one is proposed.
    """
    for part in name.split("+"):
        _mapper(part)
    return Kind(name)


def from_dict(stored: Mapping[str, Any]) -> Alignment:
    """A fitted map from what its ``to_dict`` gave.

    Raises:
        ConfigError: a map of that name is not known here.
    """
    if "tables" in stored:
        return ObjectMap(tuple(from_dict(one) for one in stored["tables"]))
    if "maps" in stored:
        return Chain(tuple(from_dict(one) for one in stored["maps"]))
    return _mapper(stored["map"]).from_dict(stored)


def _mapper(name: str) -> Mapper:
    mapper: Mapper = ALIGNMENTS[name]
    return mapper


def as_mapper(name: str, candidate: object) -> Mapper:
    """The class of an alignment, which must bear the name that it is registered by.

    Raises:
        ConfigError: it is no such class.
    """
    mapper: Any = candidate
    lacks = [part for part in ("fit", "from_dict") if not hasattr(mapper, part)]
    if lacks or getattr(mapper, "name", None) != name:
        what = f"has no {' and no '.join(lacks)}" if lacks else f"does not say name = {name!r}"
        raise ConfigError(f"the alignment {name!r}: {candidate!r} {what}", where="train.alignments")
    known: Mapper = mapper
    return known


def register(name: str) -> Callable[[type[_Mapper]], type[_Mapper]]:
    """Register an alignment of your own: ``@hepdann.register.alignment("centre")`` above its class.

    Args:
        name: that of the class, plain and not one of hepdann's own.

    Returns:
        A decorator that gives the class back. It has what :class:`hepdann.alignment.Alignment`
        and :class:`hepdann.alignment.Mapper` ask for.

    Raises:
        ConfigError: the name is taken by hepdann or unusable, or it is no such class.
    """
    return ALIGNMENTS.decorator(name)
