"""Opening ROOT files: whatever goes wrong inside uproot becomes one :class:`ReadError`."""

from __future__ import annotations

import errno
import os
import struct
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from ...errors import HepdannError, ReadError
from ...inputs import regular_file

_LARGE_FILE = 1_000_000  # from this version number on, the header's file size has 8 bytes
_HEAD = 28
_LONGEST = 120  # characters of an error of uproot
_COPY = "copy or download the file again"


@contextmanager
def reading(where: str, doing: str) -> Iterator[None]:
    """Turn any exception of uproot and its decompressors into a :class:`ReadError`.

    Damaged input shows up as ``struct.error``, ``ValueError``, ``AssertionError``, ``zlib.error``,
    cramjam's errors, uproot's own and more; all of them mean that the file cannot be read.

    Args:
        where: file, tree and branch.
        doing: what could not be done, for example ``"entries 0-99 cannot be read"``.
    """
    try:
        yield
    except HepdannError:
        raise
    except MemoryError as error:  # a damaged length asks for terabytes
        raise ReadError(
            f"{doing} ({_first_line(error)})",
            where=where,
            mend="the file is damaged, or convert.block_size is too large for this machine",
        ) from error
    except ImportError as error:  # uproot reads some addresses and compressions with other packages
        schemes = {"root": "xrootd", "xroot": "xrootd", "http": "http", "https": "http"}
        extra = schemes.get(where.partition("://")[0])
        raise ReadError(
            f"{doing}: a package is not installed ({_first_line(error)})",
            where=where,
            mend=f'pip install "hepdann[{extra}]"' if extra else "install it",
        ) from error
    except OSError as error:
        if error.errno == errno.EMFILE:
            raise
        raise ReadError(f"{doing} ({_first_line(error)})", where=where, mend=_COPY) from error
    except Exception as error:
        raise ReadError(f"{doing} ({_first_line(error)})", where=where, mend=_COPY) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    line = lines[0].strip() if lines else ""
    sentence = line.partition(". ")[0] if len(line) > _LONGEST else line  # whole, not cut in a word
    text = textwrap.shorten(sentence, _LONGEST, placeholder=" …")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def open_root(path: str) -> Iterator[Any]:
    """Open a ROOT file for reading.

    Args:
        path: local path or remote address; a colon in it does not name a tree.

    Yields:
        uproot's ``ReadOnlyDirectory``.

    Raises:
        ReadError: the file does not exist, may not be read, is not a ROOT file, is truncated, or
            was not closed.
    """
    import uproot

    local = "://" not in path
    if local:
        _check_header(path)
    with reading(path, "cannot be opened"):
        # each block is read once: a cache would only hold on to what has passed
        directory = uproot.open(
            {path: None},
            object_cache=None,
            array_cache=None,
            handler=_positional_source() if local else None,
        )
    with directory:
        yield directory


def _check_header(path: str) -> None:
    """Compare a local file with what its own header says: uproot's errors do not tell."""
    file = regular_file(path, mend="name a ROOT file")
    if not file.exists():
        raise ReadError("no such file", where=path, mend="check the spelling")
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise ReadError(f"cannot be opened ({error.strerror})", where=path) from None
    size = os.stat(path).st_size  # noqa: PTH116
    if size == 0:
        raise ReadError("is empty", where=path, mend=_COPY)
    if head[:4] != b"root":
        hint = " but HDF5" if head[:4] == b"\x89HDF" else ""
        raise ReadError(f"is not a ROOT file{hint}", where=path, mend="name a ROOT file")
    if len(head) < _HEAD:
        raise ReadError(f"is truncated: it has {size} bytes", where=path, mend=_COPY)
    version, _, end, free = struct.unpack(">iiii", head[4:20])
    if version >= _LARGE_FILE:
        end, free = struct.unpack(">qq", head[12:28])
    if size < end:
        raise ReadError(f"is truncated: it has {size} of {end} bytes", where=path, mend=_COPY)
    if free <= 0:  # ROOT writes the list of free space when it closes the file
        raise ReadError(
            "was not closed: it is still being written, or its writer died, and later events are "
            "missing",
            where=path,
            mend="wait for the writer, or recover what is there with hadd",
        )


@cache
def _positional_source() -> Any:
    """What ``uproot.open(handler=...)`` takes: bytes read by position, in the calling thread.

    uproot maps local files by default. A mapped file that shrinks or whose disk goes away kills the
    process with SIGBUS; a read by position is an ordinary error. Nothing is allocated for a damaged
    length that points beyond the end.
    """
    from uproot.source.file import FileResource, MultithreadedFileSource
    from uproot.source.futures import ResourceTrivialExecutor

    class Resource(FileResource):  # type: ignore[misc]
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

    class Source(MultithreadedFileSource):  # type: ignore[misc]
        ResourceClass = Resource

        def _open(self) -> None:
            resource = Resource(self._file_path)
            self._executor = ResourceTrivialExecutor(resource)
            self._num_bytes = os.fstat(resource.file.fileno()).st_size

    return Source
