"""Alignments by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..config.names import nearest
from ..errors import ConfigError
from ..tensors.domains import Target
from .affine import AffineMap
from .base import Alignment, Mapper
from .chain import Chain
from .linear import GaussianTransport
from .moments import Moments
from .quantile import QuantileMap
from .sliced import SlicedTransport

__all__ = ["Kind", "from_dict", "get", "names"]

_ALL: tuple[Mapper, ...] = (Moments, QuantileMap, GaussianTransport, SlicedTransport, AffineMap)
_MAPPERS = {mapper.name: mapper for mapper in _ALL}


@dataclass(frozen=True)
class Kind:
    """A kind of alignment, not yet fitted.

    Attributes:
        name: one of :func:`names`, or several joined with ``+``, which act from left to right.
    """

    name: str

    @property
    def summary(self) -> str:
        """One line for help and reports."""
        return "; then ".join(_MAPPERS[part].summary for part in self.name.split("+"))

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
            maps.append(_MAPPERS[part].fit(target, source, seed=seed))
            target = target.with_features(maps[-1].apply(target.features))
        return maps[0] if len(maps) == 1 else Chain(tuple(maps))

    def from_dict(self, stored: Mapping[str, Any]) -> Alignment:
        """The map that ``to_dict`` described."""
        return from_dict(stored)


def names() -> tuple[str, ...]:
    """Names of the single maps; joined with ``+`` they act from left to right."""
    return tuple(_MAPPERS)


def get(name: str) -> Kind:
    """Find a kind of alignment.

    Args:
        name: one of :func:`names`, or several joined with ``+`` (``affine+quantile``).

    Raises:
        ConfigError: no alignment of that name; the nearest one is proposed.
    """
    for part in name.split("+"):
        if part not in _MAPPERS:
            near = nearest(part, _MAPPERS)
            mend = f"did you mean {near!r}?" if near else f"known are {', '.join(_MAPPERS)}"
            raise ConfigError(f"unknown alignment {part!r}", where="train.alignments", mend=mend)
    return Kind(name)


def from_dict(stored: Mapping[str, Any]) -> Alignment:
    """A fitted map from what its ``to_dict`` gave.

    Raises:
        ConfigError: a map of that name is not known here.
    """
    if "maps" in stored:
        return Chain(tuple(from_dict(one) for one in stored["maps"]))
    get(stored["map"])
    return _MAPPERS[stored["map"]].from_dict(stored)
