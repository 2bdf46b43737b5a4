"""HDF5 files: how they are opened, what one of unknown origin must not do, and compressed chunks.

HDF5 follows links into other files, gathers datasets from them, and reads rows that were never
written as zeros, as many as a file claims. Nothing of that is a tensor file.

Chunks are packed outside of HDF5, as its filters undo it. gzip needs nothing beyond HDF5 to be
read; zstd needs the package hdf5plugin. A chunk holds the images of 64 events as they are: most
pixels are zero, and their runs are longest so. One of a table holds 8,192 rows through HDF5's
shuffle filter (first bytes first). Level 1 gains most for its time.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, Literal, Self

import cramjam
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from ...errors import SchemaError
from ...inputs import Stamp, file_stamp, regular_file
from ..layout import Dataset

_GZIP, _SHUFFLE, _CHECKSUM = 1, 2, 3  # HDF5's numbers of filters
_PACKED = {_GZIP: 1_032, _SHUFFLE: 1, _CHECKSUM: 1}  # how often the largest shrinks into the least
_PACKED_MOST = 1 << 15  # of any other: zstd, for example
_CHUNK_BYTES = 1 << 29  # one is unpacked as a whole
Compression = Literal["none", "gzip", "zstd"]
_ZSTD = 32015  # registered with the HDF Group
_WRITE_BYTES = 1 << 20
_LEVEL = 1  # of sparse images: 1.4 GB/s and 6 % of the size; level 6 makes it 5 % at 0.2 GB/s


def h5_open(path: str | Path, *, cache: int = 1 << 20) -> Any:
    """Open an HDF5 file to read, without locks where the file system has none, as those of farms.

    ``cache`` is in bytes of unpacked chunks that are kept of each dataset.

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


def check_codec(codec: str, *, where: object) -> None:
    """Whether files of this codec can be read; makes HDF5 know zstd.

    Raises:
        SchemaError: hdf5plugin is not installed.
    """
    if codec != "zstd":
        return
    if importlib.util.find_spec("hdf5plugin") is None:
        raise SchemaError(
            "zstd in HDF5 needs the package hdf5plugin",
            where=where,
            mend='pip install "hepdann[zstd]", or compress with gzip',
        )
    import hdf5plugin  # noqa: F401


def add_filters(properties: Any, column: Dataset) -> None:
    """Tell HDF5 how the chunks of a column will be packed."""
    import h5py

    if column.shuffle:
        properties.set_shuffle()
    if column.codec == "none":
        return
    if column.codec == "zstd":
        properties.set_filter(_ZSTD, h5py.h5z.FLAG_MANDATORY, (_LEVEL,))
    else:
        properties.set_deflate(_LEVEL)


def pack(rows: NDArray[Any], column: Dataset) -> bytes:
    """What HDF5 would store of a chunk."""
    content = rows.reshape(-1).view(np.uint8)
    if column.codec == "none":
        return content.tobytes()
    if column.shuffle:
        content = np.ascontiguousarray(content.reshape(-1, rows.itemsize).T).reshape(-1)
    if column.codec == "zstd":
        return bytes(cramjam.zstd.compress(content.data, _LEVEL))
    if column.shuffle:
        return isal_zlib.compress(content.data, _LEVEL)  # of tables, three times as fast
    return bytes(cramjam.zlib.compress(content.data, level=_LEVEL))


class ChunkSpool:
    """Compressed chunks of some datasets, in a file that vanishes with the process.

    Sizes are known only when the last row has come, and rows may be taken back; so the chunks wait
    here until the tensor file is finished. ``threads`` compress, beside the caller.
    """

    def __init__(self, folder: Path, columns: Sequence[Dataset], threads: int) -> None:
        self._columns = {column.path: column for column in columns}
        self._pieces: dict[str, list[tuple[int, int]]] = {path: [] for path in self._columns}
        self._rest: dict[str, NDArray[Any]] = {
            column.path: np.empty((0, *column.shape), column.dtype) for column in columns
        }
        self._size = 0
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0) if columns else None  # noqa: SIM115
        self._pool = ThreadPoolExecutor(threads) if columns else None
        self._mark: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything; may be called again."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._file is not None:
            self._file.close()

    def add(self, path: str, values: NDArray[Any]) -> None:
        """Take C-ordered rows of the stored type.

        Raises:
            OSError: the disk is full.
        """
        assert self._file is not None
        assert self._pool is not None
        chunk = self._columns[path].chunk
        whole = []
        if len(rest := self._rest[path]):
            head, values = values[: chunk - len(rest)], values[chunk - len(rest) :]
            rest = np.concatenate([rest, head])
            if len(rest) == chunk:
                whole.append(rest)
                rest = rest[:0]
        end = len(values) - len(values) % chunk
        whole += [values[start : start + chunk] for start in range(0, end, chunk)]
        self._rest[path] = values[end:].copy() if end < len(values) else rest
        for piece in self._pool.map(partial(pack, column=self._columns[path]), whole):
            self._pieces[path].append((self._size, len(piece)))
            self._size = write_at(self._file.fileno(), piece, self._size)

    def mark(self) -> None:
        """Remember this state for :meth:`rollback`."""
        counts = {path: len(pieces) for path, pieces in self._pieces.items()}
        self._mark = counts, dict(self._rest), self._size

    def rollback(self) -> None:
        """Forget the rows since :meth:`mark`."""
        counts, rest, self._size = self._mark
        self._rest = dict(rest)
        for path, count in counts.items():
            del self._pieces[path][count:]

    def chunks(self, path: str) -> Iterator[bytes]:
        """The compressed chunks of a dataset, in order; the last one filled up with zeros.

        If there are fewer rows than one chunk takes, the only chunk is of just these rows.
        """
        assert self._file is not None
        for position, count in self._pieces[path]:
            yield os.pread(self._file.fileno(), count, position)
        rest, chunk = self._rest[path], self._columns[path].chunk
        if len(rest):
            rows = chunk if self._pieces[path] else len(rest)
            full = np.zeros((rows, *rest.shape[1:]), rest.dtype)
            full[: len(rest)] = rest
            yield pack(full, self._columns[path])


def write_at(descriptor: int, piece: bytes | memoryview, position: int) -> int:
    """Write all of a piece, a MB at a time; returns where it ends.

    For more at once, Linux looks for huge pages, which takes longer.

    Raises:
        OSError: the disk is full.
    """
    rest = memoryview(piece)
    while rest:
        done = os.pwrite(descriptor, rest[:_WRITE_BYTES], position)
        rest, position = rest[done:], position + done
    return position
