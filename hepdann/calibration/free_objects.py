"""A free map of objects: of each collection a map of the features of its objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import accumulate, pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..tensors import Objects, Source, Target
from .fitted_map import FittedMap
from .free import FreeMap
from .free_fit import fit_free
from .noise import Seed, seed_of_table
from .objects import ObjectSource, ObjectTarget

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

    def apply(self, x: Any, theta: Floats, seed: Seed) -> Any:
        """Map objects; a missing value stays."""
        sizes = accumulate((len(one.flat()) if one else 0 for one in self.maps), initial=0)
        spans = list(pairwise(sizes))

        def change(number: int, table: NDArray[np.float32]) -> NDArray[Any]:
            one, part = self.maps[number], theta[slice(*spans[number])]
            if one is None:
                return table
            return one.apply(table.astype(np.float64), part, seed_of_table(seed, x, number))

        assert isinstance(x, Objects)
        return x.mapped(change)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {"kind": "objects-free", "maps": [one and one.to_dict() for one in self.maps]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described."""
        return cls(maps=tuple(one and FreeMap.from_dict(one) for one in stored["maps"]))


def fit_free_objects(
    mc: ObjectSource, target: ObjectTarget, *, seed: int, **options: int
) -> tuple[FreeObjects, Callable[[], Floats]]:
    """Fit free maps to the features of the event and of the objects, table by table.

    Args:
        mc: labelled events, at the class fractions of the data as far as they are known.
        target: the data.
        seed: of the search.
        **options: of :func:`.fit_free`.

    Returns:
        The map, and what computes the change of all parameters, one standard error of it, as of
        :func:`.fit_free`.
    """
    maps: list[FreeMap | None] = []
    variations: list[Callable[[], Floats]] = []
    plain = Source(**{f.name: getattr(mc, f.name) for f in fields(Source)})
    data = Target(**{f.name: getattr(target, f.name) for f in fields(Target)})
    pairs = zip(mc.objects.as_events(plain), target.objects.as_events(data), strict=True)
    for source, of_data in pairs:
        if not (source.features.size and of_data.features.size):
            maps.append(None)
            continue
        fitted, _, one = fit_free(source, of_data, seed=seed, **options)
        maps.append(fitted)
        variations.append(one)
    made = FreeObjects(maps=tuple(maps))
    return made, lambda: np.concatenate([np.zeros(0), *(one() for one in variations)])
