"""Events and images of a domain, read block by block: nothing larger than a block is held."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .hits import Hits
from .objects import ObjectReader
from .reader import Tensors
from .source_and_target import SPLITS, Source, Target, is_pseudo, mix64
from .views import EventImages, Pixels, ViewReader

BLOCK_ROWS = 8_192
_AT_ONCE = 512  # images that are unpacked at a time
_PROBED = 1_024  # events that say how many hits one has
_SAMPLE = np.uint64(0x5A3B1E)  # keeps the sample apart from splits and halves

ChangeImages = Callable[[Any, NDArray[np.int64]], Any]  # views by name, or Objects; and their rows
Change = Callable[[NDArray[np.float32], int, bool], NDArray[np.float32]]


class EventBlocks:
    """The events of :meth:`Tensors.source`, ``target`` or ``pseudo_target`` in blocks.

    Of each row one bit is kept: whether it is trained on.

    Args:
        tensors: the file.
        domain: "mc" or "data".
        pseudo: of the MC, only the events that stand in for data (true) or the others (false).
        labelled: whether blocks are a ``Source``; only MC that does not stand in for data is.
        change: made to the features of a block, given its number, and whether they are those of
            its training events or of the others; the same every time.

    Attributes:
        rows: events in the domain, before any is left out.
        counts: (n,) training events of each block.
        weight: mean weight of the training events.
    """

    def __init__(
        self,
        tensors: Tensors,
        domain: str,
        *,
        pseudo: bool | None = None,
        labelled: bool = False,
        change: Change | None = None,
    ) -> None:
        self._tensors, self._domain, self._pseudo = tensors, domain, pseudo
        self._change, self._labelled = change, labelled
        self.rows = tensors.rows(domain)
        names = ["features", "weight", "event_id", "split", *(["label"] if labelled else [])]
        self._file = tensors.open()
        with self._file.reading() as h5:
            self._columns = {name: h5[domain][name] for name in names}
        self._train: list[NDArray[np.uint8]] = []  # which rows of a block are, a bit each
        self.counts, self.weight = self._count()

    def __len__(self) -> int:
        return -(-self.rows // BLOCK_ROWS)

    @property
    def n_train(self) -> int:
        """Number of training events."""
        return int(self.counts.sum())

    def read(self, block: int) -> Target:
        """The events of a block: a ``Source`` if labelled."""
        rows = self._range(block)
        return self._changed(self._kept(rows, np.flatnonzero(self._half(rows))), block)

    def train_rows(self, block: int) -> NDArray[np.int64]:
        """Rows in the domain of the training events of a block."""
        rows = self._range(block)
        keep = np.unpackbits(self._train[block], count=rows.stop - rows.start)
        return np.asarray(rows.start + np.flatnonzero(keep))

    def train(self, block: int) -> Target:
        """The training events of a block."""
        rows = self._range(block)
        events = self._kept(rows, self.train_rows(block) - rows.start)
        if self._change is None:
            return events
        return events.with_features(self._change(events.features, block, True))

    def _changed(self, events: Target, block: int) -> Target:
        if self._change is None:
            return events
        features = events.features.copy()
        train = events.split == SPLITS.index("train")
        for part, rows in ((True, train), (False, ~train)):
            features[rows] = self._change(features[rows], block, part)
        return events.with_features(features)

    def sample(self, most: int) -> tuple[Target, NDArray[np.int64]]:
        """About ``most`` events of all splits, chosen by their identity; all if there are fewer.

        Returns:
            The events in the order of the file, and their rows in the domain.
        """
        share = min(1.0, most / max(1, self.rows if self._pseudo is None else self.rows / 2))
        edge = np.uint64(min(round(share * 2.0**64), 2**64 - 1))
        parts, rows = [], []
        for block in range(len(self)):
            span = self._range(block)
            half = self._half(span)
            chosen = half & (mix64(self._column("event_id", span) ^ _SAMPLE) <= edge)
            rows.append(span.start + np.flatnonzero(chosen))
            if self._change is None:
                parts.append(self._kept(span, np.flatnonzero(chosen)))
            else:
                parts.append(self.read(block).take(chosen[half]))
        fields = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in self._columns
        }
        return self._events(fields), np.concatenate(rows)

    def _events(self, fields: dict[str, NDArray[Any]]) -> Target:
        if self._labelled:
            return Source(**fields, classes=self._tensors.classes)
        return Target(**fields)

    def _range(self, block: int) -> slice:
        return slice(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, self.rows))

    def _half(self, rows: slice) -> NDArray[np.bool_]:
        """Which rows belong to this half of the domain; all, if it is not halved."""
        if self._pseudo is None:
            return np.ones(rows.stop - rows.start, np.bool_)
        half = is_pseudo(self._column("event_id", rows), self._tensors.split_config.seed)
        return half if self._pseudo else ~half

    def _kept(self, rows: slice, keep: NDArray[np.intp]) -> Target:
        return self._events(
            {name: self._column(name, rows).take(keep, 0) for name in self._columns}
        )

    def _column(self, name: str, rows: slice) -> NDArray[Any]:
        with self._file.reading():
            values = np.asarray(self._columns[name][rows])
        return self._tensors.check_rows(f"{self._domain}/{name}", values)

    def _count(self) -> tuple[NDArray[np.int64], float]:
        counts, weight = np.zeros(len(self), np.int64), 0.0
        for block in range(len(self)):
            rows = self._range(block)
            keep = (self._column("split", rows) == SPLITS.index("train")) & self._half(rows)
            weights = self._column("weight", rows)[keep].astype(np.float64)
            counts[block] = len(weights)
            self._train.append(np.packbits(keep))
            weight += weights.sum()
        return counts, weight / max(1, int(counts.sum()))


def column_at(tensors: Tensors, domain: str, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Values of a dataset at increasing rows, without reading it whole into memory."""
    start, parts = 0, []
    for tile in tensors.tiles(domain, name):
        first, last = np.searchsorted(rows, [start, start + len(tile)])
        parts.append(tile[rows[first:last] - start])
        start += len(tile)
    return np.concatenate(parts)


def read_images(
    tensors: Tensors,
    domain: str,
    rows: NDArray[np.int64] | None = None,
    change: ChangeImages | None = None,
    *,
    labelled: bool = False,
) -> EventImages:
    """The images of some events, hits or pictures as bytes; or their objects.

    ``rows`` are increasing, by default all. ``change`` gives images by view, or objects, another
    content, given their rows: a shift. ``labelled`` objects of MC come with their classes.

    Raises:
        SchemaError: no such domain, neither images nor objects, or damaged ones.
    """
    if rows is None:
        rows = np.arange(tensors.rows(domain))
    with _reader(tensors, domain) as reader:
        return _events(reader, rows, change, labelled)


def _reader(tensors: Tensors, domain: str) -> ViewReader | ObjectReader:
    return tensors.object_reader(domain) if tensors.objects else tensors.view_reader(domain)


def _events(
    reader: ViewReader | ObjectReader,
    rows: NDArray[np.int64],
    change: ChangeImages | None,
    labelled: bool,
) -> EventImages:
    if isinstance(reader, ObjectReader):
        objects = reader.events(rows)
        objects = objects if labelled else objects.unlabelled()
        return objects if change is None else change(objects, rows)
    kind: Any = Pixels if reader.views[0].pictures else Hits
    parts = []
    for start in range(0, max(1, len(rows)), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        if change is None:
            parts.append(reader.events(part))
            continue
        parts.append(kind.of(change(reader.read(part), part).values()))
    joined: EventImages = kind.join(parts)
    return joined


class ViewBlocks:
    """The images or objects of :class:`EventBlocks`; weights and counts are those of the events."""

    def __init__(
        self,
        tensors: Tensors,
        domain: str,
        events: EventBlocks,
        change: ChangeImages | None = None,
    ) -> None:
        self._reader, self._events, self._change = _reader(tensors, domain), events, change
        self.counts, self.weight = events.counts, events.weight
        self._lock = threading.Lock()  # HDF5's handles are for one thread at a time

    @cached_property
    def nbytes(self) -> float:
        """Of the images of an event, on the average over the first ones."""
        rows = np.arange(min(_PROBED, len(self._reader)))
        with self._lock:
            return _events(self._reader, rows, None, False).nbytes / max(1, len(rows))

    def train(
        self, block: int
    ) -> tuple[EventImages, NDArray[np.int32] | None, NDArray[np.float32]]:
        """Images, labels (``None`` of a target) and weights of a block's training events."""
        with self._lock:
            events, rows = self._events.train(block), self._events.train_rows(block)
            labelled = isinstance(events, Source)
            images = _events(self._reader, rows, self._change, labelled)
        return images, events.label if isinstance(events, Source) else None, events.weight
