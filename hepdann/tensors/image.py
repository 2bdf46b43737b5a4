"""A file in memory that remembers only what was written to it, however large it claims to be.

HDF5 puts its own structures here while the rows go to the disk by other means. HDF5 (2.0 at least)
can crash the process when a write of its own fails on a full disk; here none can fail. What is
large (compressed images) goes on to the disk at once, and a failure of that is kept until asked.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

__all__ = ["SparseImage"]

_LARGE = 512  # bytes; 64 images are never compressed to less than this unless they are tiny


class SparseImage(io.RawIOBase):
    """A seekable file of which the unwritten parts read as zeros.

    Attributes:
        descriptor: of the real file, once there is one; pieces of many bytes are put there.
        failure: why the real file could not take one.
    """

    def __init__(self) -> None:
        self.descriptor: int | None = None
        self.failure: OSError | None = None
        self._starts: list[int] = []  # of pieces that do not overlap, in order
        self._pieces: dict[int, bytes] = {}
        self._size = 0
        self._position = 0

    def extents(self) -> Iterator[tuple[int, bytes]]:
        """What was written and is held in memory, as (position, bytes)."""
        for start in self._starts:
            yield start, self._pieces[start]

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
        self._forget(self._position, self._position + len(piece))
        if self.descriptor is None or len(piece) < _LARGE:
            self._keep(self._position, piece)
        else:
            self._put(self.descriptor, piece)
        self._position += len(piece)
        self._size = max(self._size, self._position)
        return len(piece)

    def readinto(self, buffer: object) -> int:
        """Fill ``buffer`` from the position."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        begin = self._position
        end = min(begin + len(view), self._size)
        view[: end - begin] = bytes(end - begin)
        if self.descriptor is not None:
            found = os.pread(self.descriptor, end - begin, begin)
            view[: len(found)] = found
        for start in self._touched(begin, end):
            piece = self._pieces[start]
            low, high = max(begin, start), min(end, start + len(piece))
            view[low - begin : high - begin] = piece[low - start : high - start]
        self._position = end
        return end - begin

    def _touched(self, begin: int, end: int) -> list[int]:
        """Starts of the pieces that have bytes between two positions."""
        first = max(0, bisect_right(self._starts, begin) - 1)
        found = self._starts[first : bisect_left(self._starts, end)]
        return [start for start in found if start + len(self._pieces[start]) > begin]

    def _keep(self, start: int, piece: bytes) -> None:
        if piece:
            insort(self._starts, start)
            self._pieces[start] = piece

    def _forget(self, begin: int, end: int) -> None:
        """Drop what is held between two positions."""
        for start in self._touched(begin, end):
            piece = self._pieces.pop(start)
            del self._starts[bisect_left(self._starts, start)]
            self._keep(start, piece[: max(0, begin - start)])
            self._keep(max(start, end), piece[max(0, end - start) :])

    def _put(self, descriptor: int, piece: bytes) -> None:
        """Write a piece to the real file."""
        begin = self._position
        try:
            while piece:
                done = os.pwrite(descriptor, piece, begin)
                piece, begin = piece[done:], begin + done
        except OSError as error:
            self.failure = error
