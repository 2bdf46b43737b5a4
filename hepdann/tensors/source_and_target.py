"""Identity and split of events by hash, and what a training sees: source and target.

Identity and split are pure functions of the event: file order, block size and the number of workers
cannot change them. The label wall is a type: nothing that takes a :class:`Target` can read a target
label, because there is none to read. Truth of pseudo-data lives in ``evaluation`` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import numpy as np
import xxhash
from numpy.typing import NDArray

from ..errors import ConfigError, SchemaError

if TYPE_CHECKING:
    from ..config.samples import SplitConfig

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_MASK = (1 << 64) - 1
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, Split, Split] = ("train", "validation", "test")
_ENOUGH = 50  # events expected in a split, from which on an empty one is no chance


def mix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64 bits so that each output bit depends on every input bit.

    The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, doi:10.1145/2660193.2660195; the
    constants are Stafford's variant 13); a bijection.

    Returns:
        (N,) uint64.
    """
    z = np.array(x, dtype=np.uint64)
    _mix(z, np.empty_like(z))
    return z


def _mix(z: NDArray[np.uint64], spare: NDArray[np.uint64]) -> None:
    """:func:`mix64` in place, with ``spare`` to compute in."""
    for shift, factor in ((30, _FIRST), (27, _SECOND), (31, None)):
        np.right_shift(z, np.uint64(shift), out=spare)
        np.bitwise_xor(z, spare, out=z)
        if factor is not None:
            np.multiply(z, factor, out=z)


def _bits(column: NDArray[Any]) -> NDArray[np.uint64]:
    """A column as uint64, one pattern for one number whatever its width."""
    column = np.asarray(column)
    if column.ndim != 1:
        raise SchemaError(
            f"an event id is made of scalar columns, this one has {column.ndim - 1} more axes"
        )
    kind = column.dtype.kind
    if kind in "bu":
        return column.astype(np.uint64)
    if kind == "i":
        return column.astype(np.int64).view(np.uint64)
    if kind == "f" and column.dtype.itemsize <= 8:
        wide = column.astype(np.float64)
        wide += 0.0  # -0 and 0 are one number
        missing = np.isnan(wide)
        if missing.any():
            wide[missing] = np.nan  # NaN has many patterns
        return wide.view(np.uint64)
    raise SchemaError(f"an event id cannot be made of a column of type {column.dtype}")


def event_ids(sample: str, columns: Sequence[NDArray[Any]]) -> NDArray[np.uint64]:
    """Identify each event by its sample and the numbers of its columns.

    Args:
        sample: the name of the process, so that event numbers that repeat across samples differ.
        columns: (N,) integers, booleans or floats, in a fixed order (run, lumi, event). Integers
            of any width that hold the same numbers give the same ids; so do float32 and float64.

    Returns:
        (N,) uint64: :func:`mix64` chained over the columns, from the xxh64 of the sample's name.

    Raises:
        SchemaError: no column, columns of different lengths, or a column that is not numeric.
    """
    if not columns:
        raise SchemaError("an event id needs at least one column")
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise SchemaError(f"the columns of an event id have different lengths: {sorted(lengths)}")
    ids = np.full(lengths.pop(), xxhash.xxh64_intdigest(sample.encode()), dtype=np.uint64)
    spare = np.empty_like(ids)
    for column in columns:
        ids ^= _bits(column)
        ids += _GAMMA
        _mix(ids, spare)
    return ids


def _uniform(event_id: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    return mix64(np.asarray(event_id, dtype=np.uint64) ^ np.uint64(salt & _MASK))


def split_of(event_id: NDArray[np.uint64], config: SplitConfig) -> NDArray[np.uint8]:
    """Assign each event to a split: ``u = mix64(event_id ^ salt)`` against shares of 2^64.

    Returns:
        (N,) uint8: 0 train, 1 validation, 2 test.

    Raises:
        ConfigError: the shares do not add up to 1.
    """
    total = config.train + config.validation + config.test
    if abs(total - 1.0) > 1e-6:
        raise ConfigError(
            f"train, validation and test add up to {total:g}, not 1", where="convert.split"
        )
    u = _uniform(event_id, config.seed)
    edges = (config.train, config.train + config.validation)
    split = np.zeros(len(u), dtype=np.uint8)
    for edge in edges:
        split += u >= np.uint64(min(round(edge * 2.0**64), _MASK))
    return split


def empty_split(events: NDArray[np.integer], shares: Sequence[float]) -> Split | None:
    """A split without an event, where its share of all of them is fifty or more: no chance."""
    expected = np.asarray(shares) * events.sum()
    empty = np.flatnonzero((events == 0) & (expected > _ENOUGH))
    return SPLITS[int(empty[0])] if len(empty) else None


def fold_of(event_id: NDArray[np.uint64], folds: int, salt: int) -> NDArray[np.uint8]:
    """The part of each event: ``u mod folds``, with u as in :func:`split_of`.

    Returns:
        (N,) uint8, from 0.
    """
    return (_uniform(event_id, salt) % np.uint64(folds)).astype(np.uint8)


def is_pseudo(event_id: NDArray[np.uint64], salt: int) -> NDArray[np.bool_]:
    """Whether an MC event stands in for data in a study with pseudo-data.

    One more mix after that of :func:`split_of`, so that within every split the halves are drawn
    independently and share no event.

    Returns:
        (N,) bool: true for pseudo-data, false for the source.
    """
    return (mix64(_uniform(event_id, salt)) & np.uint64(1)).astype(np.bool_)


@dataclass(frozen=True, eq=False)
class Target:
    """Unlabelled events.

    Attributes:
        features: (N, F) float32 network inputs in the user's order; NaN marks a missing value.
        weight: (N,) float32 event weights, of either sign.
        event_id: (N,) uint64 identity of the event.
        split: (N,) uint8, 0 train, 1 validation, 2 test.
    """

    features: NDArray[np.float32]
    weight: NDArray[np.float32]
    event_id: NDArray[np.uint64]
    split: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: slice | NDArray[Any]) -> Self:
        """The events at ``rows`` (a slice, a mask or indices), every field alike."""
        fields = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return replace(self, **fields)

    def part(self, split: Split) -> Self:
        """The events of one split."""
        return self.take(self.split == SPLITS.index(split))

    def with_features(self, features: NDArray[np.float32]) -> Self:
        """The same events with other feature values, for example shifted or aligned ones."""
        return replace(self, features=np.asarray(features, dtype=np.float32))


Events = TypeVar("Events", bound=Target)


@dataclass(frozen=True, eq=False)
class Source(Target):
    """Labelled events.

    Attributes:
        label: (N,) int32 class index.
        classes: the name of each class, by index.
        nuisances: (N, M) float32 columns that a method needs besides the features; ``None``
            unless some were asked for.
    """

    label: NDArray[np.int32]
    classes: tuple[str, ...]
    nuisances: NDArray[np.float32] | None = None
