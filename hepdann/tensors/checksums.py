"""An xxh64 for every 65,536 rows of every dataset, as contiguous HDF5 data has no checksum.

Of compressed images, it is one a chunk, of the images and not of what they were compressed to:
a program may compress them anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from .layout import Column

__all__ = ["CHECKSUMS", "TILE_ROWS", "TileHasher", "damaged_tiles", "store_checksums"]

CHECKSUMS = "checksums"
TILE_ROWS = 65_536


class TileHasher:
    """Hashes rows in order of arrival; blocks of any size give the same hashes.

    Args:
        rows: rows of a tile.
    """

    def __init__(self, rows: int = TILE_ROWS) -> None:
        self._rows = rows
        self._done: list[int] = []
        self._hash = xxhash.xxh64()
        self._filled = 0
        self.mark()

    def mark(self) -> None:
        """Remember this state for :meth:`rollback`."""
        self._mark = len(self._done), self._hash.copy(), self._filled

    def rollback(self) -> None:
        """Forget the rows since :meth:`mark`."""
        count, marked, self._filled = self._mark
        del self._done[count:]
        self._hash = marked.copy()

    def update(self, values: NDArray[Any]) -> None:
        """Add C-ordered rows."""
        while len(values):
            piece = values[: self._rows - self._filled]
            if piece.size:
                self._hash.update(piece.reshape(-1).view(np.uint8).data)
            self._filled += len(piece)
            values = values[len(piece) :]
            if self._filled == self._rows:
                self._close_tile()

    def digests(self) -> NDArray[np.uint64]:
        """The hash of every tile, the last one possibly of fewer rows."""
        if self._filled:
            self._close_tile()
        return np.array(self._done, dtype=np.uint64)

    def _close_tile(self) -> None:
        self._done.append(self._hash.intdigest())
        self._hash = xxhash.xxh64()
        self._filled = 0


def store_checksums(
    file: Any, digests: dict[str, NDArray[np.uint64]], columns: Sequence[Column]
) -> None:
    """Write ``/checksums/<path of the dataset>``, one uint64 a tile, into an open HDF5 file.

    Where a tile is not of ``tile_rows`` rows, an attribute of the dataset says of how many.
    """
    group = file.create_group(CHECKSUMS)
    group.attrs["algorithm"] = "xxh64"
    group.attrs["tile_rows"] = TILE_ROWS
    for column in columns:
        dataset = group.create_dataset(column.path, data=digests[column.path], dtype="<u8")
        if column.chunk:
            dataset.attrs["tile_rows"] = column.chunk


def damaged_tiles(file: Any, paths: list[str]) -> Iterator[str]:
    """Read datasets of an open HDF5 file again and compare.

    Yields:
        A line for each tile that differs, such as ``mc/features rows 65536-131071``, and for each
        dataset that has no checksums.
    """
    for path in paths:
        dataset = file[path]
        stored = file.get(f"{CHECKSUMS}/{path}")
        each = TILE_ROWS if stored is None else int(stored.attrs.get("tile_rows", TILE_ROWS))
        tiles = range(0, len(dataset), each)
        if stored is None or len(stored) != len(tiles):
            yield f"{path} has no checksums"
            continue
        for expected, start in zip(stored[...], tiles, strict=True):
            stop = min(start + each, len(dataset))
            if _digest(dataset, start, stop) != expected:
                yield f"{path} rows {start}-{stop - 1}"


def _digest(dataset: Any, start: int, stop: int) -> np.uint64 | None:
    """The hash of some rows; ``None`` if they cannot be decompressed."""
    hasher = TileHasher()
    try:
        hasher.update(dataset[start:stop])
    except OSError:
        return None
    return np.uint64(hasher.digests()[0])
