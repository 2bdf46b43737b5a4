"""Shifts of objects: some are lost, or seen with another momentum.

A random number belongs to an event and to the number of an object in it: events that are read in
blocks, in any order or twice are shifted alike. Larger t is a smaller shift, and t = ∞ is none.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..tensors import Jagged, Objects
from .pixels import Draws, Keys

if TYPE_CHECKING:
    from .fitting import Step
    from .registry import Entry

Shifted = tuple[NDArray[np.float32], NDArray[np.bool_]]  # values, and which objects are seen


@dataclass(frozen=True, eq=False)
class ObjectRows:
    """The objects of some events, one collection of them, a row each.

    Attributes:
        name: of the collection.
        features: what the columns are.
        values: (n, F) float32; NaN is missing.
        event: (n,) identity of the event.
        number: (n,) of the object in its event, from 0.
    """

    name: str
    features: tuple[str, ...]
    values: NDArray[np.float32]
    event: Keys
    number: Keys

    def named(self, ending: str) -> list[int]:
        """Columns whose names end so, ``log(jet_pt)`` and ``log_pt`` as ``pt``; one at least.

        Raises:
            ConfigError: there is none.
        """
        plain = [feature.rstrip(")").lower() for feature in self.features]
        columns = [number for number, feature in enumerate(plain) if feature.endswith(ending)]
        if not columns:
            raise ConfigError(
                f"no feature of {self.name} ends in '{ending}'",
                where="train.shift",
                mend=f"convert with one; there are {', '.join(self.features)}",
            )
        return columns


def missing_objects(objects: ObjectRows, t: float, draws: Draws) -> Shifted:
    """A share 1/t of the objects is lost, wherever they are."""
    return objects.values, draws.uniform(objects.event, objects.number) >= 1 / t


def pt_scale(objects: ObjectRows, t: float, draws: Draws) -> Shifted:  # noqa: ARG001
    """Every p_T × (1 + 1/t): features that end in pt, and logarithms of such."""
    values = objects.values.copy()
    for column in objects.named("pt"):
        log = objects.features[column].lower().startswith("log")
        values[:, column] = (
            values[:, column] + np.log1p(1 / t) if log else (values[:, column] * (1 + 1 / t))
        )
    return values, np.ones(len(values), np.bool_)


def dead_region(objects: ObjectRows, t: float, draws: Draws) -> Shifted:  # noqa: ARG001
    """In a share 1/t of the circle in φ none is seen; it begins at φ = 0."""
    phi = objects.values[:, objects.named("phi")[0]]
    return objects.values, ~(np.remainder(phi, 2 * np.pi) < 2 * np.pi / t)


def shift_objects(
    steps: Sequence[tuple[Step, Entry]], objects: Objects, event_id: Keys, seed: int
) -> Objects:
    """Shift objects, and by maps of features the features of their events as well.

    Args:
        steps: with their maps, in the order in which they act.
        objects: of N events.
        event_id: (N,) identity of each event.
        seed: of the random numbers.
    """
    for index, (step, entry) in enumerate(steps):
        key = zlib.crc32(f"{seed} {index} {step.name}".encode())
        if entry.objects is None:
            generator = np.random.Generator(np.random.Philox([seed, key]))
            tables = [objects.features, *(part.values for part in objects.parts)]
            widths = accumulate((table.shape[1] for table in tables), initial=0)
            features, *values = (
                step.columns(*span).apply(table, generator)
                for table, span in zip(tables, pairwise(widths), strict=True)
            )
            parts = [Jagged(v, p.start) for v, p in zip(values, objects.parts, strict=True)]
        else:
            features, parts, draws = objects.features, [], Draws(key | seed << 32)
            for part, one in zip(objects.parts, objects.collections, strict=True):
                event = np.repeat(np.arange(len(part)), part.counts)
                number = (np.arange(len(event)) - part.start[event]).astype(np.uint64)
                rows = ObjectRows(one.name, one.features, part.values, event_id[event], number)
                shifted, kept = entry.objects(rows, step.t, draws)
                counts = np.bincount(event[kept], minlength=len(part))
                parts.append(Jagged.of(np.asarray(shifted, np.float32)[kept], counts))
        objects = replace(objects, features=features, parts=tuple(parts))
    return objects
