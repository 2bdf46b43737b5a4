"""The formats that are read besides ROOT: how each is recognised, scanned and read."""

from __future__ import annotations

from ..inputs import first_bytes
from . import hdf5, parquet
from .pipeline.blocks import BlockReader
from .prescan import FileScan

_SCANNERS = {  # by what a file begins with
    hdf5.SIGNATURE: hdf5.scan_hdf5,
    parquet.SIGNATURE: parquet.scan_parquet,
}
READERS: dict[str, BlockReader] = {  # by the kind of a scan
    "HDF5": hdf5.read_hdf5,
    "HDF5 table": hdf5.read_hdf5_table,
    "Parquet": parquet.read_parquet,
}


def scan_format(path: str, tree: str | None, prefer: str | None) -> FileScan | None:
    """What is in a local file of one of these formats; ``None`` of any other. No event is read.

    Args:
        path: the file.
        tree: a table of the file, where tables have names.
        prefer: likewise, if the file has it.

    Raises:
        ReadError: it is not a regular file, cannot be read, or has no such table.
    """
    head = first_bytes(path, max(map(len, _SCANNERS)))
    for signature, scan in _SCANNERS.items():
        if head.startswith(signature):
            return scan(path, tree, prefer)
    return None
