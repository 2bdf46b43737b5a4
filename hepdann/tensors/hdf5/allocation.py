"""A new HDF5 file whose datasets are written by position: contiguous rows, or chunks.

HDF5 lays the file out once, in memory; the rows go to the datasets' offsets with plain system
calls, and HDF5's own structures follow when all rows are there. So a full disk is an ordinary
OSError, never a failure inside HDF5, and any thread may write any rows.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..layout import Dataset
from .chunks import add_filters, write_at

_COPY_BYTES = 1 << 20
_FLUSH_BYTES = 64 << 20
_PAGE = 4096
_LARGE = 512  # bytes; 64 images are never compressed to less than this unless they are tiny


class _SparseFile(io.RawIOBase):
    """A file in memory that holds only what was written to it; the rest reads as zeros.

    HDF5 puts its own structures here while the rows go to the disk by other means. HDF5 (2.0 at
    least) can crash the process when a write of its own fails on a full disk; these cannot fail.
    Compressed images are large and go on to the disk at once; a failure of that is kept.

    Attributes:
        descriptor: of the real file, once there is one; pieces of many bytes are written there.
        failure: why the real file could not take one.
        size: in bytes, unwritten parts included.
    """

    def __init__(self) -> None:
        self.descriptor: int | None = None
        self.failure: OSError | None = None
        self.size = 0
        self._starts: list[int] = []  # of pieces that do not overlap, in order
        self._pieces: dict[int, bytes] = {}
        self._position = 0

    def extents(self) -> Iterator[tuple[int, bytes]]:
        """What was written and is held in memory, as (position, bytes)."""
        for start in self._starts:
            yield start, self._pieces[start]

    def readable(self) -> bool:
        return True

    writable = seekable = readable

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def truncate(self, size: int | None = None) -> int:
        self.size = self._position if size is None else size
        return self.size

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._forget(self._position, self._position + len(piece))
        if self.descriptor is None or len(piece) < _LARGE:
            self._keep(self._position, piece)
        else:
            try:
                write_at(self.descriptor, piece, self._position)
            except OSError as error:
                self.failure = error
        self._position += len(piece)
        self.size = max(self.size, self._position)
        return len(piece)

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        begin = self._position
        end = min(begin + len(view), self.size)
        view[: end - begin] = bytes(end - begin)
        if self.descriptor is not None:
            stored = os.pread(self.descriptor, end - begin, begin)
            view[: len(stored)] = stored
        for start in self._overlapping(begin, end):
            piece = self._pieces[start]
            low, high = max(begin, start), min(end, start + len(piece))
            view[low - begin : high - begin] = piece[low - start : high - start]
        self._position = end
        return end - begin

    def _overlapping(self, begin: int, end: int) -> list[int]:
        """Starts of the pieces that have bytes between two positions."""
        first = max(0, bisect_right(self._starts, begin) - 1)
        starts = self._starts[first : bisect_left(self._starts, end)]
        return [start for start in starts if start + len(self._pieces[start]) > begin]

    def _keep(self, start: int, piece: bytes) -> None:
        if piece:
            insort(self._starts, start)
            self._pieces[start] = piece

    def _forget(self, begin: int, end: int) -> None:
        """Drop what is held between two positions."""
        for start in self._overlapping(begin, end):
            piece = self._pieces.pop(start)
            del self._starts[bisect_left(self._starts, start)]
            self._keep(start, piece[: max(0, begin - start)])
            self._keep(max(start, end), piece[max(0, end - start) :])


class ContiguousStore:
    """The datasets of a new file, each at its final size, open for writing by position.

    ``rows`` are those of each dataset, by path; chunked ones are laid out later.

    Attributes:
        file: the HDF5 file, for attributes and small datasets; reading rows from it gives zeros.
    """

    def __init__(self, path: Path, columns: Sequence[Dataset], rows: Mapping[str, int]) -> None:
        import h5py

        self._columns = {column.path: column for column in columns if not column.chunk}
        self._rows = dict(rows)
        aligned = _PAGE if len(self._columns) == len(columns) else 1  # chunks lie close
        self._image = _SparseFile()
        # Datasets start at a page, so that they can be written and mapped in place. Since 1.10 HDF5
        # guards its own structures with checksums; older ones can crash it when they are damaged.
        self.file = h5py.File(
            self._image,
            "w",
            libver=("v110", "v110"),
            alignment_threshold=_PAGE,
            alignment_interval=aligned,
        )
        properties = _properties()
        properties.set_layout(h5py.h5d.CONTIGUOUS)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # and not filled
        self._offsets = {
            path: _create(self.file, column, rows[path], properties).get_offset() or 0
            for path, column in self._columns.items()  # no offset where there are no bytes
        }
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._flusher = _Flusher(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop writing; may be called again. Unless sealed, the file is not HDF5."""
        self.file.close()
        self._flusher.pool.shutdown()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def seal(self) -> None:
        """Write HDF5's structures: from here on the file can be opened.

        Raises:
            OSError: the disk is full.
        """
        self.file.close()
        self._check_image()
        self._flusher.check()
        for position, piece in self._image.extents():
            self._write_bytes(memoryview(piece), position)
        os.ftruncate(self._descriptor, self._image.size)

    def write(self, path: str, start: int, values: NDArray[Any]) -> None:
        """Put C-ordered ``values`` of the stored type at rows ``start`` and after; thread-safe.

        Raises:
            IndexError: the dataset has fewer rows.
            OSError: the disk is full.
        """
        if start + len(values) > self._rows[path]:
            raise IndexError(f"{path} has {self._rows[path]} rows")
        if values.size:
            position = self._offsets[path] + start * self._columns[path].row_bytes
            self._write_bytes(values.reshape(-1).view(np.uint8).data, position)

    def write_chunks(self, column: Dataset, rows: int, chunks: Iterable[bytes]) -> None:
        """Make a chunked dataset, of rows that are compressed already.

        They come in order, as :meth:`.ChunkSpool.chunks` gives them.

        Raises:
            OSError: the disk is full.
        """
        self._image.descriptor = self._descriptor
        properties = _properties()
        each = max(1, min(column.chunk, rows))  # HDF5 wants no chunk larger than its dataset
        properties.set_chunk((each, *column.shape))
        add_filters(properties, column)
        dataset = _create(self.file, column, rows, properties)
        for number, chunk in enumerate(chunks):
            dataset.write_direct_chunk((number * each, *(0 for _ in column.shape)), chunk)
            self._check_image()
            self._flusher.wrote(len(chunk))

    def _check_image(self) -> None:
        if self._image.failure is not None:
            raise self._image.failure

    def copy_to(self, other: ContiguousStore) -> None:
        """Copy the leading rows that ``other`` has room for, a MB at a time."""
        for path, column in self._columns.items():
            size = other._rows[path] * column.row_bytes
            for begin in range(0, size, _COPY_BYTES):
                piece = os.pread(
                    self._descriptor,
                    min(_COPY_BYTES, size - begin),
                    self._offsets[path] + begin,
                )
                other._write_bytes(memoryview(piece), other._offsets[path] + begin)

    def _write_bytes(self, data: memoryview, position: int) -> None:
        self._flusher.wrote(len(data))
        write_at(self._descriptor, data, position)


class _Flusher:
    """Syncs rows to the disk while more are made: the sync at the end is a long wait otherwise."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.pool = ThreadPoolExecutor(1)
        self._running: Future[None] | None = None
        self._waiting = 0

    def wrote(self, count: int) -> None:
        """Count bytes; start to flush when they are many. OSError: an earlier flush failed."""
        self._waiting += count
        if self._waiting < _FLUSH_BYTES or (self._running and not self._running.done()):
            return
        self.check()
        self._waiting = 0
        self._running = self.pool.submit(os.fsync, self._descriptor)

    def check(self) -> None:
        """Wait for the flush under way; OSError: it failed."""
        if self._running is not None:
            self._running.result()


def _properties() -> Any:
    import h5py

    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    return properties


def _create(file: Any, column: Dataset, rows: int, properties: Any) -> Any:
    import h5py

    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    kind = h5py.h5t.py_create(np.dtype(column.dtype), logical=True)
    space = h5py.h5s.create_simple((rows, *column.shape))
    return h5py.h5d.create(file.id, column.path.encode(), kind, space, properties, links)
