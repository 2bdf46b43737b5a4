"""The images of a domain as hits: all of them, or block by block of a file larger than memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .blocks import EventBlocks
from .domains import Source
from .hits import Hits
from .reader import Tensors
from .views import ViewReader

__all__ = ["ChangeImages", "ViewBlocks", "read_hits"]

_AT_ONCE = 512  # images that are unpacked at a time
_PROBED = 1_024  # events that say how many hits one has

ChangeImages = Callable[[dict[str, NDArray[np.float32]], NDArray[np.int64]], None]


def read_hits(
    tensors: Tensors,
    domain: str,
    rows: NDArray[np.int64] | None = None,
    change: ChangeImages | None = None,
) -> Hits:
    """The hits of some events.

    Args:
        tensors: the file.
        domain: "mc" or "data".
        rows: increasing; by default all.
        change: made to images in place, given their rows: a shift.

    Raises:
        SchemaError: no such domain, no images, or damaged ones.
    """
    if rows is None:
        rows = np.arange(tensors.rows(domain))
    with tensors.view_reader(domain) as reader:
        return _hits(reader, rows, change)


def _hits(reader: ViewReader, rows: NDArray[np.int64], change: ChangeImages | None) -> Hits:
    parts = []
    for start in range(0, max(1, len(rows)), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        if change is None:
            parts.append(reader.hits(some))
            continue
        views = reader.read(some)
        change(views, some)
        parts.append(Hits.of(views.values()))
    return Hits.join(parts)


class ViewBlocks:
    """The images of :class:`EventBlocks`; what it has of weights and counts they have too.

    Args:
        tensors: the file.
        domain: "mc" or "data".
        events: blocks of that domain.
        change: as in :func:`read_hits`.
    """

    def __init__(
        self,
        tensors: Tensors,
        domain: str,
        events: EventBlocks,
        change: ChangeImages | None = None,
    ) -> None:
        self._reader, self._events, self._change = tensors.view_reader(domain), events, change
        self.counts, self.weight = events.counts, events.weight
        self._lock = threading.Lock()  # HDF5's handles are for one thread at a time

    @cached_property
    def nbytes(self) -> float:
        """Of the hits of an event, on the average over the first ones."""
        rows = np.arange(min(_PROBED, len(self._reader)))
        with self._lock:
            return _hits(self._reader, rows, None).nbytes / max(1, len(rows))

    def train(self, block: int) -> tuple[Hits, NDArray[np.int32] | None, NDArray[np.float32]]:
        """Hits, labels (``None`` of a target) and weights of a block's training events."""
        with self._lock:
            events, rows = self._events.train(block), self._events.train_rows(block)
            hits = _hits(self._reader, rows, self._change)
        return hits, events.label if isinstance(events, Source) else None, events.weight
