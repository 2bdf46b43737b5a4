"""Objects that an event has any number of: stored one after the other, padded when they are read.

A network sees an event as one row: its features, then of each collection how many objects there are
and their features, object after object, with zeros behind the last one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import SchemaError
from .hdf5.chunks import OpenFile
from .hits import EventTable, picked
from .layout import Collection
from .source_and_target import Events

_AT_ONCE = 16_384  # events that are read at a time


@dataclass(frozen=True, eq=False)
class Jagged:
    """The objects of N events, one collection of them.

    Attributes:
        values: (objects, F) float32, event after event.
        start: (N + 1,) where the objects of each event begin; the last is their number.
        numbers: (objects,) int32 by name, which are no features: ``label``, the class of an object
            or -1, and ``place``, where it stood in the lists of its event.
        listed: (N,) how long these lists were; ``None`` where nobody asks.
    """

    values: NDArray[np.float32]
    start: NDArray[np.int64]
    numbers: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)
    listed: NDArray[np.int32] | None = None

    @classmethod
    def of(
        cls,
        values: NDArray[np.float32],
        counts: NDArray[Any],
        numbers: Mapping[str, NDArray[np.int32]] = MappingProxyType({}),
    ) -> Self:
        """From the number of objects of each event."""
        return cls(values, np.append(0, np.cumsum(counts, dtype=np.int64)), numbers)

    @classmethod
    def join(cls, parts: Sequence[Jagged]) -> Self:
        """The events of several, at least one, one after the other."""
        counts = np.concatenate([part.counts for part in parts])
        numbers = {n: np.concatenate([p.numbers[n] for p in parts]) for n in parts[0].numbers}
        return cls.of(np.concatenate([part.values for part in parts]), counts, numbers)

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """(N,) objects of each event."""
        return np.diff(self.start)

    def take(self, rows: slice | NDArray[Any]) -> Self:
        """Some events: a slice, a mask or indices."""
        chosen, start = picked(self.start, rows)
        numbers = {name: values[chosen] for name, values in self.numbers.items()}
        listed = None if self.listed is None else self.listed[rows]
        return type(self)(self.values[chosen], start, numbers, listed)

    @property
    def _slots(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(objects,) which event each is of, and which of its objects it is."""
        event = np.repeat(np.arange(len(self)), self.counts)
        return event, np.arange(len(event)) - (self.start - self.start[0])[event]

    def pad(
        self, out: NDArray[np.float32], values: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        """Write the objects into ``out``, (N, most, F) and all zero.

        Returns:
            (N,) how many of each event there was room for: the first ones.
        """
        most, counts = out.shape[1], self.counts
        event, slot = self._slots
        values = self.values if values is None else values
        if len(counts) and counts.max() > most:
            inside = slot < most
            event, slot, values = event[inside], slot[inside], values[inside]
        out[event, slot] = values
        return np.minimum(counts, most)

    def unpad(self, padded: NDArray[np.float32]) -> NDArray[np.float32]:
        """(objects, F) what :meth:`pad` wrote into (N, most, F); NaN where there was no room."""
        event, slot = self._slots
        inside = slot < padded.shape[1]
        out = np.full((len(event), padded.shape[2]), np.nan, np.float32)
        out[inside] = padded[event[inside], slot[inside]]
        return out


@dataclass(frozen=True, eq=False)
class Objects(EventTable):
    """N events with features and objects; indexing gives the rows that a network sees.

    It takes the place of :class:`.Hits` where events have objects.

    Attributes:
        features: (N, F) float32.
        parts: the objects of each collection.
        collections: what they are.
    """

    features: NDArray[np.float32]
    parts: tuple[Jagged, ...]
    collections: tuple[Collection, ...]

    @classmethod
    def join(cls, parts: Sequence[Objects]) -> Self:
        """The rows of several tables, at least one, one after the other."""
        columns = zip(*(part.parts for part in parts), strict=True)
        joined = tuple(Jagged.join(column) for column in columns)
        features = np.concatenate([part.features for part in parts])
        return cls(features, joined, parts[0].collections)

    @classmethod
    def of_rows(cls, rows: NDArray[np.float32], collections: tuple[Collection, ...]) -> Self:
        """The events whose rows (N, width) indexing gave."""
        at = rows.shape[1] - sum(one.width for one in collections)
        features, parts = rows[:, :at], []
        for one in collections:
            room = rows[:, at + 1 : at + one.width].reshape(len(rows), one.most, -1)
            valid = np.arange(one.most) < rows[:, at, None]
            parts.append(Jagged.of(room[valid], valid.sum(axis=1)))
            at += one.width
        return cls(features, tuple(parts), collections)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return int(self.features.shape[1]) + sum(one.width for one in self.collections)

    @property
    def tables(self) -> list[NDArray[np.float32]]:
        """The features of the events, and of the objects of each collection."""
        return [self.features, *(part.values for part in self.parts)]

    @property
    def summed(self) -> NDArray[np.float32]:
        """(N, F) the features of the events, then what sums their objects up."""
        return np.concatenate([self.features, object_figures(self)[1]], axis=1)

    def mapped(self, change: Callable[[int, NDArray[np.float32]], NDArray[Any]]) -> Self:
        """With every one of the tables changed, given its number."""
        features, *values = (
            np.asarray(change(number, table), np.float32)
            for number, table in enumerate(self.tables)
        )
        parts = tuple(replace(p, values=v) for p, v in zip(self.parts, values, strict=True))
        return replace(self, features=features, parts=parts)

    def as_events(self, events: Events) -> list[Events]:
        """The rows of each table as events of their own, alike in all but the features."""
        number = np.arange(len(self))
        counts = [np.ones(len(self), np.int64), *(part.counts for part in self.parts)]
        return [
            events.take(np.repeat(number, count)).with_features(table)
            for table, count in zip(self.tables, counts, strict=True)
        ]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.features.nbytes + sum(p.values.nbytes + p.start.nbytes for p in self.parts)

    def take(self, rows: slice | NDArray[Any]) -> Self:
        """Some rows: a slice, a mask or indices."""
        parts = tuple(part.take(rows) for part in self.parts)
        return type(self)(self.features[rows], parts, self.collections)

    def __getitem__(self, rows: slice | NDArray[Any]) -> NDArray[np.float32]:
        """Some rows (n, width), padded with zeros."""
        taken = self.take(rows)
        out = np.zeros(taken.shape, np.float32)
        at = taken.features.shape[1]
        out[:, :at] = taken.features
        for part, one in zip(taken.parts, self.collections, strict=True):
            room = out[:, at + 1 : at + one.width].reshape(len(out), one.most, len(one.features))
            out[:, at] = part.pad(room)  # reshape gave a view
            at += one.width
        return out

    def unlabelled(self) -> Self:
        """Without the classes of objects, as of events that stand in for data."""
        return replace(self, parts=tuple(replace(part, numbers={}) for part in self.parts))

    def labelled(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Some rows as a training draws them: behind each the classes of its objects, or -1."""
        taken = self.take(rows)
        columns = [taken[:]]
        for part, one in zip(taken.parts, self.collections, strict=True):
            if one.classes:
                room = np.full((len(taken), one.most, 1), -1, np.float32)
                if "label" in part.numbers:
                    part.pad(room, part.numbers["label"][:, None])
                columns.append(room[..., 0])
        return np.concatenate(columns, axis=1)


class ObjectReader:
    """The objects of one domain with the features of their events, in a file that stays open."""

    def __init__(self, file: OpenFile, domain: str, collections: tuple[Collection, ...]) -> None:
        self._file, self._group, self.collections = file, file.h5[domain], collections

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called again."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._group["features"])

    def events(self, rows: NDArray[np.int64]) -> Objects:
        """Some events.

        Raises:
            SchemaError: the objects are damaged, or were cut off meanwhile.
        """
        edges = [*range(0, len(rows), _AT_ONCE), len(rows)]
        spans = [rows[a:b] for a, b in pairwise(edges)] or [rows]
        with self._file.reading():
            return Objects.join([self._span(span) for span in spans])

    def _span(self, rows: NDArray[np.int64]) -> Objects:
        first, last = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
        parts = (
            read_jagged(self._group["objects"][one.name], first, last, self._file.path)
            for one in self.collections
        )
        features = np.asarray(self._group["features"][first:last], np.float32)[rows - first]
        return Objects(features, tuple(p.take(rows - first) for p in parts), self.collections)


def read_jagged(group: Any, first: int, last: int, path: Path) -> Jagged:
    """The objects of the events ``first`` to ``last`` - 1 of a collection, an open HDF5 group.

    Raises:
        SchemaError: its offsets are damaged; names the file at ``path``.
    """
    start = np.asarray(group["offsets"][first : last + 1], np.int64)
    if start[0] < 0 or (np.diff(start) < 0).any() or start[-1] > len(group["values"]):
        raise SchemaError(
            f"the offsets of events {first}-{last - 1} are damaged",
            where=f"{path}:{group.name.lstrip('/')}",
            mend="copy the file again from a good disk, or convert again",
        )
    span, numbers = slice(int(start[0]), int(start[-1])), dict[str, NDArray[np.int32]]()
    if "label" in group:
        label = numbers["label"] = np.asarray(group["label"][span], np.int32)
        if ((label < -1) | (label >= len(group.attrs.get("classes", ())))).any():
            raise SchemaError("a label is of no class", where=f"{path}:{group.name.lstrip('/')}")
    return Jagged(np.asarray(group["values"][span], np.float32), start - start[0], numbers)


def object_figures(
    events: Objects, *, detailed: bool = False
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """A few numbers that sum the objects of an event up.

    ``detailed`` gives the lowest value of each feature, and that of the first object, too.

    Returns:
        Names such as ``n_jets`` and ``mean_jets_pt``, and (N, F) values: of each collection how
        many objects there are, and the mean of each of their features, NaN of none.
    """
    names: list[str] = []
    columns: list[NDArray[Any]] = []
    for part, one in zip(events.parts, events.collections, strict=True):
        short = [f"{one.name}_{feature.removeprefix(f'{one.name}_')}" for feature in one.features]
        kinds = ("mean", "lowest", "first") if detailed else ("mean",)
        names += [f"n_{one.name}", *(f"{kind}_{name}" for kind in kinds for name in short)]
        columns.append(part.counts)
        event = np.repeat(np.arange(len(part)), part.counts)
        for column in part.values.T.astype(np.float64):
            known = np.isfinite(column)
            sums, counts = (
                np.bincount(event[known], weights, minlength=len(part))
                for weights in (column[known], None)
            )
            columns.append(np.divide(sums, counts, np.full(len(part), np.nan), where=counts > 0))
        if detailed:
            filled = np.flatnonzero(part.counts)
            first = part.start[filled]
            ends = np.full((2, len(part), len(short)), np.nan)
            if len(filled):
                ends[0, filled] = np.fmin.reduceat(part.values, first)
            ends[1, filled] = part.values[first]
            columns += [*ends[0].T, *ends[1].T]
    return tuple(names), np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class ObjectSummary:
    """One feature of the objects of a collection, in one domain.

    Attributes:
        collection: its name.
        feature: of the objects.
        minimum: smallest finite value; ``None`` if there is none. Likewise the others.
        maximum: largest finite value.
        mean: of the finite values.
        missing: objects where it is NaN.
        objects: of the collection an event.
        empty: events without any.
    """

    collection: str
    feature: str
    minimum: float | None
    maximum: float | None
    mean: float | None
    missing: int
    objects: float | None
    empty: int


class ObjectCounter:
    """Counts what is in objects, fed block by block.

    Attributes:
        truncated: of each, events that had more objects than are kept.
        labelled: of each that has labels, by number of the class, -1 for none.
    """

    def __init__(self, collections: Sequence[Collection]) -> None:
        self.collections = tuple(collections)
        self.truncated = Counter[str]()
        self.labelled = {one.name: Counter[int]() for one in collections if one.classes}
        self.events = 0
        # of each collection: objects, events without any; of each feature: low, high, sum, known
        self._counts = {one.name: np.zeros(2, np.int64) for one in collections}
        self._columns = {
            one.name: np.array([[np.inf], [-np.inf], [0.0], [0.0]]) + np.zeros(len(one.features))
            for one in collections
        }

    def add(
        self, objects: Mapping[str, Jagged], truncated: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """Count the objects of some events, by collection; and events that had more."""
        self.truncated.update(truncated)
        self.events += len(next(iter(objects.values())))
        for name, part in objects.items():
            known = np.isfinite(part.values)
            values = part.values.astype(np.float64)
            self._counts[name] += np.array([len(part.values), np.count_nonzero(part.counts == 0)])
            if name in self.labelled and "label" in part.numbers:
                number, counts = np.unique(part.numbers["label"], return_counts=True)
                self.labelled[name].update(dict(zip(number.tolist(), counts.tolist(), strict=True)))
            self._put(name, np.stack([
                values.min(axis=0, where=known, initial=np.inf),
                values.max(axis=0, where=known, initial=-np.inf),
                np.where(known, values, 0).sum(axis=0),
                known.sum(axis=0),
            ]))  # fmt: skip

    def _put(self, name: str, more: NDArray[np.float64]) -> None:
        columns = self._columns[name]
        np.minimum(columns[0], more[0], out=columns[0])
        np.maximum(columns[1], more[1], out=columns[1])
        columns[2:] += more[2:]

    def merge(self, other: ObjectCounter) -> None:
        """Add what another one has counted."""
        self.events += other.events
        self.truncated.update(other.truncated)
        for name, labelled in other.labelled.items():
            self.labelled[name].update(labelled)
        for name, columns in other._columns.items():
            self._counts[name] += other._counts[name]
            self._put(name, columns)

    def without(self) -> list[str]:
        """Collections of which no object was counted."""
        return [name for name, (objects, _) in self._counts.items() if not objects]

    def summary(self) -> tuple[ObjectSummary, ...]:
        """One summary a feature of each collection."""
        summaries = []
        for one in self.collections:
            objects, empty = self._counts[one.name].tolist()
            for feature, column in zip(one.features, self._columns[one.name].T, strict=True):
                low, high, total, known = column.tolist()
                summaries.append(
                    ObjectSummary(
                        one.name,
                        feature,
                        low if known else None,
                        high if known else None,
                        total / known if known else None,
                        objects - int(known),
                        objects / self.events if self.events else None,
                        empty,
                    )
                )
        return tuple(summaries)
