"""The noise of maps that smear: by the order of the events, or by their identities."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..shifts.registry import Draws
from ..tensors import Objects, mix64


@dataclass(frozen=True, eq=False)
class EventSeed:
    """A seed whose noise is that of an event, whatever the order and company it is mapped in.

    Attributes:
        seed: another one gives other noise.
        event_id: (N,) identities of the events, or of their objects.
    """

    seed: int
    event_id: NDArray[np.uint64] = field(repr=False)

    def __add__(self, other: int) -> EventSeed:
        return EventSeed(self.seed + other, self.event_id)


Seed = int | EventSeed


def identities(event_id: NDArray[np.uint64], features: NDArray[np.floating]) -> NDArray[np.uint64]:
    """(N,) identities of rows: several jets of one event have its identity, and other features."""
    rows = np.nan_to_num(np.asarray(features, np.float32))
    for column in rows.T:
        event_id = mix64(event_id ^ np.ascontiguousarray(column).view(np.uint32).astype(np.uint64))
    return event_id


def noise(seed: Seed, word: int) -> np.random.Generator:
    """Where the noise of a map comes from; ``word`` distinguishes kinds of maps."""
    if isinstance(seed, EventSeed):
        return _EventNoise(seed, word)
    return np.random.default_rng([seed, word])


def seed_of_table(seed: Seed, objects: Objects, number: int) -> Seed:
    """The seed of one of the tables of objects; behind the first the rows are objects."""
    if number == 0 or not isinstance(seed, EventSeed):
        return seed
    part = objects.parts[number - 1]
    event = np.repeat(np.arange(len(part)), part.counts)
    place = (np.arange(len(event)) - part.start[event]).astype(np.uint64)
    salt = np.uint64(number) << np.uint64(32)
    return EventSeed(seed.seed, mix64(seed.event_id[event] ^ mix64(place + salt)))


class _EventNoise(np.random.Generator):
    """Draws (N, …) numbers, a row an event, and any others by their order."""

    def __init__(self, seed: EventSeed, word: int) -> None:
        super().__init__(np.random.Philox([seed.seed, word]))
        self._draws = Draws(seed.seed ^ word << 32)
        self._event_id, self._drawn = seed.event_id, 0

    def _keys(self, size: Any) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
        """Event and number of each draw; ``None`` where they are not a row an event."""
        rows, *rest = np.atleast_1d(1 if size is None else size).tolist()
        if size is None or rows != len(self._event_id):
            return None
        number = np.arange(self._drawn, self._drawn + math.prod(rest), dtype=np.uint64)
        self._drawn += len(number)
        return np.repeat(self._event_id, len(number)), np.tile(number, rows)

    def random(self, size: Any = None, *others: Any, **options: Any) -> Any:
        """Uniform in (0, 1)."""
        keys = self._keys(size)
        if keys is None:
            return super().random(size, *others, **options)
        return self._draws.uniform(*keys).reshape(size)

    def standard_normal(self, size: Any = None, *others: Any, **options: Any) -> Any:
        """Gaussian of mean 0 and width 1."""
        keys = self._keys(size)
        if keys is None:
            return super().standard_normal(size, *others, **options)
        return self._draws.normal(*keys).reshape(size)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """Uniform between two bounds."""
        return low + (high - low) * self.random(size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Gaussian of a mean and a width."""
        return loc + scale * self.standard_normal(size)
