"""HDF5 files: how they are opened, and what one of unknown origin must not do.

HDF5 follows links into other files, gathers datasets from them, and reads rows that were never
written as zeros, as many as a file claims. Nothing of that is a tensor file.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from ...errors import SchemaError
from ...inputs import Stamp, file_stamp, regular_file

_GZIP, _SHUFFLE, _CHECKSUM = 1, 2, 3  # HDF5's numbers of filters
_PACKED = {_GZIP: 1_032, _SHUFFLE: 1, _CHECKSUM: 1}  # how often the largest shrinks into the least
_PACKED_MOST = 1 << 15  # of any other: zstd, for example
_CHUNK_BYTES = 1 << 29  # one is unpacked as a whole


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
    """A tensor file that stays open; a read fails if the file has changed since it was described.

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


def refuse_elsewhere(dataset: Any) -> None:
    """Refuse a dataset whose rows are in other files, or that claims more than the file can hold.

    Args:
        dataset: of h5py.

    Raises:
        ValueError: names the dataset.
    """
    import h5py

    name, properties = dataset.name, dataset.id.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count():
        raise ValueError(f"the rows of {name} are in other files")
    if properties.get_layout() == h5py.h5d.COMPACT or not dataset.size:
        return
    size = prod(dataset.shape) * dataset.dtype.itemsize
    stored, held = dataset.id.get_storage_size(), os.fstat(dataset.file.id.get_vfd_handle()).st_size
    begin = dataset.id.get_offset() if dataset.chunks is None else 0
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    most = stored * prod(_PACKED.get(number, _PACKED_MOST) for number in filters)
    chunk = 0 if dataset.chunks is None else prod(dataset.chunks) * dataset.dtype.itemsize
    if begin is None or begin + stored > held or size > most:
        raise ValueError(f"{name} claims {size} bytes of rows, and the file does not hold them")
    if chunk > _CHUNK_BYTES:
        raise ValueError(f"{name} has chunks of {chunk} bytes, at most {_CHUNK_BYTES} are read")


def check_datasets(file: Any) -> None:
    """Whether all that an HDF5 file holds is in the file itself.

    Raises:
        ValueError: names the link or dataset that leads elsewhere.
    """
    import h5py

    names: list[str] = []

    def see(name: bytes, link: Any) -> str | None:  # one that is returned ends the visit
        names.append(name.decode(errors="replace"))
        return None if link.type == h5py.h5l.TYPE_HARD else names[-1]

    elsewhere = file.id.links.visit(see, info=True)
    if elsewhere is not None:
        raise ValueError(f"{elsewhere} is a link to somewhere else")
    for name in names:
        if isinstance(dataset := file[name], h5py.Dataset):
            refuse_elsewhere(dataset)
