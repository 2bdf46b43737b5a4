"""Opening an HDF5 file the same way everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["h5_format", "h5_open"]


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


def h5_format(path: str | Path) -> str:
    """What an HDF5 file says that it is (``hepdann-tensors``); empty if it says nothing.

    Raises:
        OSError: no such file, or not HDF5.
    """
    with h5_open(path) as file:
        return str(file.attrs.get("format", ""))
