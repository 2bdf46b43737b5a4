"""Events of a domain block by block, mapped from the file: nothing larger than a block is held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .domains import SPLITS, Source, Target
from .hashing import is_pseudo, mix64
from .opening import h5_open
from .reader import Tensors

__all__ = ["BLOCK_ROWS", "EventBlocks", "column_at"]

BLOCK_ROWS = 16_384
_SAMPLE = np.uint64(0x5A3B1E)  # keeps the sample apart from splits and halves

Change = Callable[[NDArray[np.float32], int], NDArray[np.float32]]


class EventBlocks:
    """The events of a domain, as :meth:`Tensors.source` and its sisters give them, in blocks.

    Reading a block maps its rows, copies what is wanted and lets the map go, so that the memory of
    the process does not grow with the file.

    Args:
        tensors: the file.
        domain: "mc" or "data".
        pseudo: of the MC, only the events that stand in for data (true) or the others (false).
        labelled: whether blocks are a ``Source``; only MC that does not stand in for data is.
        change: made to the features of a block, given its number; the same every time.

    Attributes:
        rows: events in the domain, before any is left out.
        counts: (n,) training events of each block.
        weight: mean weight of the training events.
        size: mean |weight| of the training events; 1 where all are 0.
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
        with h5_open(tensors.path) as file:
            group = file[domain]
            self._places = {name: _place(group[name]) for name in names}
        self.counts, self.weight, self.size = self._count()

    def __len__(self) -> int:
        return -(-self.rows // BLOCK_ROWS)

    @property
    def n_train(self) -> int:
        """Number of training events."""
        return int(self.counts.sum())

    def read(self, block: int) -> Target:
        """The events of a block: a ``Source`` if labelled."""
        rows = slice(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, self.rows))
        fields = {name: self._column(name, rows) for name in self._places}
        if self._pseudo is not None:
            keep = self._half(fields["event_id"])
            fields = {name: values[keep] for name, values in fields.items()}
        if self._change is not None:
            fields["features"] = self._change(fields["features"], block)
        return self._events(fields)

    def train(self, block: int) -> Target:
        """The training events of a block."""
        return self.read(block).part("train")

    def sample(self, most: int) -> tuple[Target, NDArray[np.int64]]:
        """About ``most`` events of all splits, chosen by their identity; all if there are fewer.

        Returns:
            The events in the order of the file, and their rows in the domain.
        """
        share = min(1.0, most / max(1, self.rows if self._pseudo is None else self.rows / 2))
        edge = np.uint64(min(round(share * 2.0**64), 2**64 - 1))
        parts, rows = [], []
        for block in range(len(self)):
            events = self.read(block)
            chosen = mix64(events.event_id ^ _SAMPLE) <= edge
            parts.append(events.take(chosen))
            rows.append(self._rows(block)[chosen])
        fields = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in self._places
        }
        return self._events(fields), np.concatenate(rows)

    def _events(self, fields: dict[str, NDArray[Any]]) -> Target:
        if self._labelled:
            return Source(**fields, classes=self._tensors.classes)
        return Target(**fields)

    def _rows(self, block: int) -> NDArray[np.int64]:
        rows = np.arange(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, self.rows))
        if self._pseudo is not None:
            rows = rows[self._half(self._column("event_id", slice(rows[0], rows[-1] + 1)))]
        return rows

    def _half(self, event_id: NDArray[np.uint64]) -> NDArray[np.bool_]:
        half = is_pseudo(event_id, self._tensors.split_config.seed)
        return half if self._pseudo else ~half

    def _column(self, name: str, rows: slice) -> NDArray[Any]:
        place = self._places[name]
        if place is None:  # chunked by another program
            with h5_open(self._tensors.path) as file:
                return np.asarray(file[self._domain][name][rows])
        offset, dtype, shape = place
        each = int(dtype.itemsize * np.prod(shape, dtype=np.int64))
        mapped = np.memmap(
            self._tensors.path,
            dtype,
            "r",
            offset + rows.start * each,
            (rows.stop - rows.start, *shape),
        )
        return np.array(mapped)

    def _count(self) -> tuple[NDArray[np.int64], float, float]:
        counts = np.zeros(len(self), np.int64)
        weight = size = 0.0
        for block in range(len(self)):
            rows = slice(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, self.rows))
            keep = self._column("split", rows) == SPLITS.index("train")
            if self._pseudo is not None:
                keep &= self._half(self._column("event_id", rows))
            weights = self._column("weight", rows)[keep].astype(np.float64)
            counts[block] = len(weights)
            weight, size = weight + weights.sum(), size + np.abs(weights).sum()
        total = max(1, int(counts.sum()))
        return counts, weight / total, size / total or 1.0


def column_at(tensors: Tensors, domain: str, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Values of a dataset at some rows, which are in order, without reading it whole into memory.

    Args:
        tensors: the file.
        domain: "mc" or "data".
        name: as in :meth:`Tensors.tiles`.
        rows: increasing.
    """
    start, parts = 0, []
    for tile in tensors.tiles(domain, name):
        first, last = np.searchsorted(rows, [start, start + len(tile)])
        parts.append(tile[rows[first:last] - start])
        start += len(tile)
    return np.concatenate(parts)


def _place(dataset: Any) -> tuple[int, np.dtype[Any], tuple[int, ...]] | None:
    """Where a contiguous dataset begins, and what its rows are; ``None`` of any other."""
    offset = dataset.id.get_offset()
    if offset is None or dataset.chunks is not None:
        return None
    return int(offset), dataset.dtype, dataset.shape[1:]
