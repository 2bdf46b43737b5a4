"""Bytes of a local file for uproot, read by position and checked against the file's size.

uproot maps local files by default. A mapped file that shrinks or whose disk goes away kills the
process with SIGBUS; a read by position is an ordinary error. Nothing is allocated for a damaged
length that points beyond the end.
"""

from __future__ import annotations

import os

from uproot.source.file import FileResource, MultithreadedFileSource
from uproot.source.futures import ResourceTrivialExecutor


class _PositionalResource(FileResource):  # type: ignore[misc]
    """One open file; any thread may read from it."""

    def get(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to ``stop``, or to the end; uproot checks the length."""
        descriptor = self.file.fileno()
        stop = min(stop, os.fstat(descriptor).st_size)
        pieces = []
        while 0 <= start < stop:
            piece = os.pread(descriptor, stop - start, start)  # at most 2 GiB at once
            if not piece:
                break
            pieces.append(piece)
            start += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class PositionalSource(MultithreadedFileSource):  # type: ignore[misc]
    """What ``uproot.open(handler=...)`` takes; reads in the calling thread."""

    ResourceClass = _PositionalResource

    def _open(self) -> None:
        resource = _PositionalResource(self._file_path)
        self._executor = ResourceTrivialExecutor(resource)
        self._num_bytes = os.fstat(resource.file.fileno()).st_size
