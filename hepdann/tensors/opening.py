"""Opening an HDF5 file the same way everywhere."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SchemaError
from ..inputs import Stamp, file_stamp, regular_file
from .checksums import TILE_ROWS

__all__ = ["OpenFile", "check_stamp", "h5_format", "h5_open", "rows_of"]


def h5_open(path: str | Path, *, cache: int = 1 << 20) -> Any:
    """Open an HDF5 file to read, without locks where the file system has none, as those of farms.

    Args:
        path: the file.
        cache: bytes of unpacked chunks that are kept of each dataset.

    Raises:
        SchemaError: not a regular file.
        OSError: no such file, or not HDF5.
    """
    import h5py  # a quarter of a second, and not every command reads events

    regular_file(path, SchemaError)
    return h5py.File(path, "r", locking="best-effort", rdcc_nbytes=cache, rdcc_w0=1)


class OpenFile:
    """A tensor file that stays open, of which every read is of what was described.

    Where another file takes its name, the rows are still those of this one.

    Args:
        path: the file.
        stamp: of the file when it was described.

    Attributes:
        h5: open file of h5py.
        descriptor: of the open file.

    Raises:
        SchemaError: it cannot be opened any more, or has changed since.
    """

    def __init__(self, path: Path, stamp: Stamp | None) -> None:
        self.path, self._stamp = path, stamp
        try:
            self.h5 = h5_open(path)
        except OSError as error:
            raise SchemaError(f"cannot be opened any more ({error})", where=path) from error
        weakref.finalize(self, self.h5.close)
        self.descriptor = int(self.h5.id.get_vfd_handle())
        check_stamp(self.descriptor, path, stamp)

    def close(self) -> None:
        """Close the file; may be called again."""
        self.h5.close()

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """The file of h5py, to read rows that may turn out to be damaged where they are compressed.

        Raises:
            SchemaError: on leaving: the file has changed, or rows cannot be decompressed.
        """
        try:
            yield self.h5
        except (OSError, RuntimeError) as error:
            raise SchemaError(
                f"cannot be read ({error})", where=self.path, mend="see hepdann inspect --verify"
            ) from error
        check_stamp(self.descriptor, self.path, self._stamp)


def check_stamp(descriptor: int, path: Path, stamp: Stamp | None) -> None:
    """Whether an open file is still what was described: rows of two files are never mixed.

    Raises:
        SchemaError: it was replaced or written to.
    """
    if file_stamp(descriptor) != stamp:
        raise SchemaError(
            "was replaced or changed while it was read",
            where=path,
            mend="start again with the file that is there now",
        )


def h5_format(path: str | Path) -> str:
    """What an HDF5 file says that it is (``hepdann-tensors``); empty if it says nothing.

    Raises:
        OSError: no such file, not HDF5, or damaged.
    """
    try:
        with h5_open(path) as file:
            return str(file.attrs.get("format", ""))
    except (KeyError, RuntimeError, ValueError) as error:  # h5py's names for damage
        raise OSError(str(error)) from error


def rows_of(dataset: Any, keep: NDArray[np.bool_] | None) -> NDArray[Any]:
    """All rows, or those to keep, gathered tile by tile so that the others are never held."""
    if keep is None:
        return np.asarray(dataset[...])
    rows = np.empty((int(keep.sum()), *dataset.shape[1:]), dataset.dtype)
    filled = 0
    for start in range(0, len(dataset), TILE_ROWS):
        part = dataset[start : start + TILE_ROWS][keep[start : start + TILE_ROWS]]
        rows[filled : filled + len(part)] = part
        filled += len(part)
    return rows
