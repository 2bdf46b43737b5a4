"""Alignments of objects: of each collection a map of the features of its objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..tensors import Objects
from .base import Alignment


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
