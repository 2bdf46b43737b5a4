"""Rows on their way into a tensor file: compressed in chunks, kept in a file without a name.

A chunk holds the images of 64 events, without HDF5's shuffle filter: most pixels are zero, and
their runs are longest as they are. One of a table holds 8,192 shuffled rows. Compressed sizes are
known only when the last row has come, and rows may be taken back; so the chunks wait outside until
the tensor file is finished.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .filters import pack
from .layout import Column

__all__ = ["ChunkSpool"]

_THREADS = 2


class ChunkSpool:
    """Compressed chunks of some datasets, in a file that vanishes with the process.

    Args:
        folder: where there is room for them.
        columns: the datasets.
        threads: how many compress, beside the caller.
    """

    def __init__(self, folder: Path, columns: Sequence[Column], threads: int = _THREADS) -> None:
        self._columns = {column.path: column for column in columns}
        self._pieces: dict[str, list[tuple[int, int]]] = {path: [] for path in self._columns}
        self._rest: dict[str, NDArray[Any]] = {
            column.path: np.empty((0, *column.shape), column.dtype) for column in columns
        }
        self._size = 0
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0) if columns else None  # noqa: SIM115
        self._pool = ThreadPoolExecutor(threads) if columns else None
        self._mark: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything; may be called again."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._file is not None:
            self._file.close()

    def add(self, path: str, values: NDArray[Any]) -> None:
        """Take C-ordered rows of the stored type.

        Raises:
            OSError: the disk is full.
        """
        assert self._file is not None
        assert self._pool is not None
        chunk = self._columns[path].chunk
        whole = []
        if len(rest := self._rest[path]):
            head, values = values[: chunk - len(rest)], values[chunk - len(rest) :]
            rest = np.concatenate([rest, head])
            if len(rest) == chunk:
                whole.append(rest)
                rest = rest[:0]
        end = len(values) - len(values) % chunk
        whole += [values[start : start + chunk] for start in range(0, end, chunk)]
        self._rest[path] = values[end:].copy() if end < len(values) else rest
        for piece in self._pool.map(partial(pack, column=self._columns[path]), whole):
            self._pieces[path].append((self._size, len(piece)))
            self._size = _write(self._file.fileno(), piece, self._size)

    def mark(self) -> None:
        """Remember this state for :meth:`rollback`."""
        counts = {path: len(pieces) for path, pieces in self._pieces.items()}
        self._mark = counts, dict(self._rest), self._size

    def rollback(self) -> None:
        """Forget the rows since :meth:`mark`."""
        counts, rest, self._size = self._mark
        self._rest = dict(rest)
        for path, count in counts.items():
            del self._pieces[path][count:]

    def chunks(self, path: str) -> Iterator[bytes]:
        """The compressed chunks of a dataset, in order; the last one filled up with zeros.

        If there are fewer rows than one chunk takes, the only chunk is of just these rows.
        """
        assert self._file is not None
        for position, count in self._pieces[path]:
            yield os.pread(self._file.fileno(), count, position)
        rest, chunk = self._rest[path], self._columns[path].chunk
        if len(rest):
            rows = chunk if self._pieces[path] else len(rest)
            full = np.zeros((rows, *rest.shape[1:]), rest.dtype)
            full[: len(rest)] = rest
            yield pack(full, self._columns[path])


def _write(descriptor: int, piece: bytes, position: int) -> int:
    """Write all of a piece; returns where it ends."""
    while piece:
        done = os.pwrite(descriptor, piece, position)
        piece, position = piece[done:], position + done
    return position
