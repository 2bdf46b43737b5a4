"""An xxh64 for every 65,536 rows of every dataset, as contiguous HDF5 data has no checksum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

__all__ = ["CHECKSUMS", "TILE_ROWS", "TileHasher", "damaged_tiles", "store_checksums"]

CHECKSUMS = "checksums"
TILE_ROWS = 65_536


class TileHasher:
    """Hashes rows in order of arrival; blocks of any size give the same hashes."""

    def __init__(self) -> None:
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
            piece = values[: TILE_ROWS - self._filled]
            if piece.size:
                self._hash.update(piece.reshape(-1).view(np.uint8).data)
            self._filled += len(piece)
            values = values[len(piece) :]
            if self._filled == TILE_ROWS:
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


def store_checksums(file: Any, digests: dict[str, NDArray[np.uint64]]) -> None:
    """Write ``/checksums/<path of the dataset>``, one uint64 a tile, into an open HDF5 file."""
    group = file.create_group(CHECKSUMS)
    group.attrs["algorithm"] = "xxh64"
    group.attrs["tile_rows"] = TILE_ROWS
    for path, values in digests.items():
        group.create_dataset(path, data=values, dtype="<u8")


def damaged_tiles(file: Any, paths: list[str]) -> Iterator[str]:
    """Read datasets of an open HDF5 file again and compare.

    Yields:
        A line for each tile that differs, such as ``mc/features rows 65536-131071``, and for each
        dataset that has no checksums.
    """
    for path in paths:
        dataset = file[path]
        stored = file.get(f"{CHECKSUMS}/{path}")
        tiles = range(0, len(dataset), TILE_ROWS)
        if stored is None or len(stored) != len(tiles):
            yield f"{path} has no checksums"
            continue
        for expected, start in zip(stored[...], tiles, strict=True):
            stop = min(start + TILE_ROWS, len(dataset))
            hasher = TileHasher()
            hasher.update(dataset[start:stop])
            if hasher.digests()[0] != expected:
                yield f"{path} rows {start}-{stop - 1}"
