"""Opening an HDF5 file the same way everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import SchemaError

__all__ = ["h5_format", "h5_open", "h5_read"]


def h5_open(path: str | Path, mode: str = "r", *, cache: int = 1 << 20) -> Any:
    """Open an HDF5 file, without locks where the file system has none, as those of farms.

    Args:
        path: the file.
        mode: as h5py has it.
        cache: bytes of unpacked chunks that are kept of each dataset.

    Raises:
        OSError: no such file, or not HDF5.
    """
    import h5py  # a quarter of a second, and not every command reads events

    return h5py.File(path, mode, locking="best-effort", rdcc_nbytes=cache, rdcc_w0=1)


@contextmanager
def h5_read(path: str | Path) -> Iterator[Any]:
    """Open a tensor file to read rows, which may turn out to be damaged where they are compressed.

    Raises:
        SchemaError: it cannot be opened any more, or rows cannot be decompressed.
    """
    try:
        with h5_open(path) as file:
            yield file
    except OSError as error:
        raise SchemaError(
            f"cannot be read ({error})", where=path, mend="see hepdann inspect --verify"
        ) from error


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
