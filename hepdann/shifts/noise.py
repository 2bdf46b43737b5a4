"""The noise of shifts and of maps that smear: by the order of events, or by their identities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..tensors import Objects, mix64

Reals = NDArray[np.float64]
Keys = NDArray[np.uint64]
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_OTHER = np.uint64(0xD1B54A32D192ED03)


@dataclass(frozen=True)
class Draws:
    """Random numbers by name: the same keys give the same numbers.

    Attributes:
        seed: another one gives others.
    """

    seed: int

    def uniform(self, *keys: Keys) -> Reals:
        """Uniform in (0, 1), one for each row of the keys."""
        return ((self._bits(keys) >> np.uint64(11)) + np.float64(0.5)) * 2.0**-53

    def normal(self, *keys: Keys) -> Reals:
        """Gaussian of mean 0 and width 1 (Box and Muller, Ann. Math. Stat. 29 (1958) 610)."""
        other = np.full(len(keys[0]), _OTHER)
        radius = np.sqrt(-2 * np.log(self.uniform(*keys)))
        return np.asarray(radius * np.cos(2 * np.pi * self.uniform(*keys, other)))

    def _bits(self, keys: tuple[Keys, ...]) -> Keys:
        bits = np.full(len(keys[0]), self.seed & (2**64 - 1), np.uint64)
        for key in keys:
            bits = mix64((bits ^ key) + _GAMMA)
        return bits


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


def identities(event_id: Keys, inputs: NDArray[np.floating] | Objects) -> Keys:
    """(N,) identities of rows: several jets of one event have its identity, and other features.

    Of objects these are the features of the event, and its first object of each collection.
    """
    tables: list[NDArray[Any]] = [inputs] if isinstance(inputs, np.ndarray) else [inputs.features]
    for part in inputs.parts if isinstance(inputs, Objects) else ():
        first = np.zeros((len(part), part.values.shape[1]), np.float32)
        some = part.counts > 0
        first[some] = part.values[part.start[:-1][some]]
        tables.append(first)
    rows = np.nan_to_num(np.concatenate(tables, axis=1, dtype=np.float32))
    for column in rows.T:
        event_id = mix64(event_id ^ np.ascontiguousarray(column).view(np.uint32).astype(np.uint64))
    return event_id


def noise(seed: Seed, word: int) -> np.random.Generator:
    """Where the noise of a map comes from; ``word`` distinguishes kinds of maps."""
    if isinstance(seed, EventSeed):
        return EventNoise(seed, word)
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


class EventNoise(np.random.Generator):
    """Draws (N, …) numbers, a row an event, and any others by their order.

    Args:
        seed: with the events.
        word: distinguishes kinds of maps.
        start: of the events among those of a larger table, of which they are a tile.
    """

    def __init__(self, seed: EventSeed, word: int, start: int = 0) -> None:
        super().__init__(np.random.Philox([seed.seed, word, start] if start else [seed.seed, word]))
        self._draws = Draws(seed.seed ^ word << 32)
        self._seed, self._word, self._event_id, self._drawn = seed, word, seed.event_id, 0

    def tiles(self, size: int) -> Iterator[tuple[slice, Self]]:
        """Tiles of the events, each with a generator of the numbers that this one would draw."""
        part = self
        for start in range(0, len(self._event_id), size):
            rows = slice(start, start + size)
            seed = EventSeed(self._seed.seed, self._event_id[rows])
            part = type(self)(seed, self._word, start)
            part._drawn = self._drawn
            yield rows, part
        self._drawn = part._drawn

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
