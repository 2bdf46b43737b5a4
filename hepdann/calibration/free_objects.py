"""A free map of objects: of each collection a map of the features of its objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..tensors import Source, Target
from .fitted_map import FittedMap
from .free import FreeMap
from .free_fit import fit_free
from .objects import ObjectSource, ObjectTarget, table_by_table, tables

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FreeObjects(FittedMap):
    """A free map of the features of the event, and of those of each collection's objects.

    Attributes:
        maps: of each table; ``None`` of one without columns or objects.
    """

    maps: tuple[FreeMap | None, ...] = ()

    name = "free"
    letter = "c"

    def flat(self) -> Floats:
        """All parameters, one after the other."""
        return np.concatenate([np.zeros(0), *(one.flat() for one in self.maps if one)])

    def apply(self, x: Any, theta: Floats, seed: int) -> Any:
        """Map objects; a missing value stays."""
        sizes = accumulate((len(one.flat()) if one else 0 for one in self.maps), initial=0)
        spans = list(pairwise(sizes))

        def change(number: int, table: Floats) -> Floats:
            one = self.maps[number]
            return table if one is None else one.apply(table, theta[slice(*spans[number])], seed)

        return table_by_table(x, change)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {"kind": "objects-free", "maps": [one and one.to_dict() for one in self.maps]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described."""
        return cls(maps=tuple(one and FreeMap.from_dict(one) for one in stored["maps"]))


def fit_free_objects(
    mc: ObjectSource, target: ObjectTarget, *, seed: int, **options: int
) -> tuple[FreeObjects, Floats]:
    """Fit free maps to the features of the event and of the objects, table by table.

    Args:
        mc: labelled events, at the class fractions of the data as far as they are known.
        target: the data.
        seed: of the search.
        **options: of :func:`.fit_free`.

    Returns:
        The map, and the change of all parameters, one standard error of it, as of
        :func:`.fit_free`.
    """
    maps: list[FreeMap | None] = []
    variations = [np.zeros(0)]
    for (rows, event), (data, _) in zip(_rows(mc), _rows(target), strict=True):
        if not (rows["features"].size and data["features"].size):
            maps.append(None)
            continue
        source = Source(**rows, label=mc.label[event], classes=mc.classes)
        fitted, _, variation = fit_free(source, Target(**data), seed=seed, **options)
        maps.append(fitted)
        variations.append(variation)
    return FreeObjects(maps=tuple(maps)), np.concatenate(variations)


def _rows(events: ObjectTarget) -> list[tuple[dict[str, Any], NDArray[np.intp]]]:
    """The rows of each table as events of their own, and the number of the event of each."""
    made = []
    counts = [np.ones(len(events), np.int64), *(part.counts for part in events.objects.parts)]
    for table, count in zip(tables(events.objects), counts, strict=True):
        event = np.repeat(np.arange(len(events)), count)
        rows = {name: getattr(events, name)[event] for name in ("weight", "event_id", "split")}
        made.append((rows | {"features": table}, event))
    return made
