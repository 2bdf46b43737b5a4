"""A file in memory that remembers only what was written to it, however large it claims to be.

HDF5 puts its own structures here while the rows go to the disk by other means. HDF5 (2.0 at least)
can crash the process when a write of its own fails on a full disk; here none can fail.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

__all__ = ["SparseImage"]


class SparseImage(io.RawIOBase):
    """A seekable file of which the unwritten parts read as zeros."""

    def __init__(self) -> None:
        self._writes: list[tuple[int, bytes]] = []
        self._size = 0
        self._position = 0

    def extents(self) -> Iterator[tuple[int, bytes]]:
        """What was written, as (position, bytes) in order of writing; later ones win."""
        yield from self._writes

    @property
    def size(self) -> int:
        """Size in bytes, unwritten parts included."""
        return self._size

    def readable(self) -> bool:
        """It can be read."""
        return True

    def writable(self) -> bool:
        """It can be written."""
        return True

    def seekable(self) -> bool:
        """It can be read and written anywhere."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, as with any file."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def truncate(self, size: int | None = None) -> int:
        """Set the size."""
        self._size = self._position if size is None else size
        return self._size

    def write(self, data: object) -> int:
        """Remember ``data`` at the position."""
        piece = bytes(data)  # type: ignore[call-overload]
        self._writes.append((self._position, piece))
        self._position += len(piece)
        self._size = max(self._size, self._position)
        return len(piece)

    def readinto(self, buffer: object) -> int:
        """Fill ``buffer`` from the position."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        begin = self._position
        end = min(begin + len(view), self._size)
        view[: end - begin] = bytes(end - begin)
        for start, piece in self._writes:
            low, high = max(begin, start), min(end, start + len(piece))
            if low < high:
                view[low - begin : high - begin] = piece[low - start : high - start]
        self._position = end
        return end - begin
