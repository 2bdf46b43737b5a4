"""Files of arrays: NumPy's npz, HDF5, MATLAB's mat and MNIST's idx, read row by row.

They come from strangers. Sizes are checked before anything is unpacked, no file says how its
content is to be executed (no pickles), and what is cut off or damaged gives one line.
"""

from __future__ import annotations

import gzip
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...inputs import regular_file
from ..hdf5 import is_hdf5, open_datasets

_MOST = 1 << 36  # bytes of one array
_MOST_ROWS = 1 << 28
_MOST_IN_MEMORY = 1 << 32  # of a format that is read as a whole
_COPY = "copy or download the file again"
_HEADER = 4096  # characters of the header of an array, at most
_IDX = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_DAMAGE = (  # what numpy, zipfile, gzip, h5py and scipy raise where a file is not whole
    OSError, EOFError, ValueError, TypeError, LookupError, RuntimeError, NotImplementedError,
    MemoryError, SyntaxError, zlib.error, struct.error, zipfile.BadZipFile,
)  # fmt: skip
_LABELS = re.compile(r"images([-.])idx3")


@dataclass(frozen=True, eq=False)
class Array:
    """An array of a file.

    Attributes:
        shape: of all of it; the first axis is that of the rows.
        dtype: of its elements.
        blocks: reads it in order, so many rows at a time.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    blocks: Callable[[int], Iterator[NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """A file of arrays.

    Attributes:
        path: its name.
        kind: in words.
        arrays: by name.
    """

    path: str
    kind: str
    arrays: Mapping[str, Array]


def array_file(path: str) -> ArrayFile | None:
    """Open a file of arrays by what it begins with; ``None`` if it is of no known kind.

    Raises:
        ReadError: it is damaged, too large, or not to be trusted.
    """
    with regular_file(path).open("rb") as stream:
        begin = stream.read(128)
    if begin.startswith(b"PK"):
        return ArrayFile(path, "npz", _npz(path))
    if is_hdf5(path):
        return ArrayFile(path, "HDF5", _hdf5(path))
    if begin.startswith(b"MATLAB 5.0"):
        return ArrayFile(path, "mat", _mat(path))
    if begin.startswith(b"MATLAB 7.3"):
        raise ReadError("is of MATLAB 7.3", where=path, mend="save it with -v7")
    if begin[:2] == b"\x1f\x8b" or begin[:2] == b"\0\0":
        arrays = _idx(path)
        return None if arrays is None else ArrayFile(path, "idx", arrays)
    return None


@contextmanager
def _whole(path: str, what: str = "") -> Iterator[None]:
    """What libraries say of damage, as one line."""
    try:
        yield
    except ReadError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        where = f"{path}:{what}" if what else path
        raise ReadError(f"is damaged ({reason})", where=where, mend=_COPY) from error


def _check(where: str, shape: tuple[int, ...], dtype: np.dtype[Any], most: int = _MOST) -> None:
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size > most or (shape and shape[0] > _MOST_ROWS):
        raise ReadError(
            f"claims {size / 2**30:,.0f} GiB ({' × '.join(map(str, shape))})",
            where=where,
            mend="split it into smaller files",
        )


def _rows(stream: IO[bytes], array: Array, rows: int) -> Iterator[NDArray[Any]]:
    """Rows of a stream that stands at the first."""
    count, each = array.shape[0], int(np.prod(array.shape[1:], dtype=np.int64))
    for start in range(0, count, rows):
        some = min(rows, count - start)
        size = some * each * array.dtype.itemsize
        content = stream.read(size)
        if len(content) != size:
            raise EOFError(f"it ends in row {start + len(content) * some // max(1, size)}")
        yield np.frombuffer(content, array.dtype).reshape(some, *array.shape[1:])


def _npz(path: str) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    with _whole(path), zipfile.ZipFile(path) as file:
        for info in file.infolist():
            name = info.filename
            if not name.endswith(".npy"):
                continue
            with file.open(info) as stream:
                shape, fortran, dtype = _npy_header(stream, f"{path}:{name}")
            if shape is None:
                continue
            _check(f"{path}:{name}", shape, dtype)
            if fortran and len(shape) > 1:
                raise ReadError(
                    "is stored column by column",
                    where=f"{path}:{name}",
                    mend="save numpy.ascontiguousarray of it",
                )
            blocks = _npz_blocks(path, name)
            arrays[name.removesuffix(".npy")] = Array(shape, dtype, blocks)
    return arrays


def _npy_header(
    stream: IO[bytes], where: str
) -> tuple[tuple[int, ...] | None, bool, np.dtype[Any]]:
    """Shape, order and type of an array; ``None`` for the shape of a single value."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream, max_header_size=_HEADER)
    if dtype.hasobject:
        raise ReadError(
            "holds Python objects, which are not read",
            where=where,
            mend="save arrays of numbers",
        )
    return (tuple(shape) if shape else None), fortran, dtype


def _npz_blocks(path: str, name: str) -> Callable[[int], Iterator[NDArray[Any]]]:
    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with _whole(path, name), zipfile.ZipFile(path) as file, file.open(name) as stream:
            shape, _, dtype = _npy_header(stream, f"{path}:{name}")
            yield from _rows(stream, Array(shape or (), dtype, blocks), rows)

    return blocks


def _hdf5(path: str) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    with open_datasets(path) as datasets:
        for dataset in datasets.values():
            name, shape = dataset.name.lstrip("/"), tuple(int(n) for n in dataset.shape or ())
            if not shape or dataset.dtype.kind not in "biuf":
                continue
            _check(f"{path}:{name}", shape, dataset.dtype)
            arrays[name] = Array(shape, dataset.dtype, _hdf5_blocks(path, name))
    return arrays


def _hdf5_blocks(path: str, name: str) -> Callable[[int], Iterator[NDArray[Any]]]:
    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with _whole(path, name), open_datasets(path) as datasets:
            dataset = next(d for d in datasets.values() if d.name.lstrip("/") == name)
            for start in range(0, len(dataset), rows):
                yield np.asarray(dataset[start : start + rows])

    return blocks


def _mat(path: str) -> dict[str, Array]:
    """MATLAB has the rows last, and files of it are read as a whole."""
    from scipy.io import loadmat, whosmat

    arrays: dict[str, Array] = {}
    with _whole(path):
        _refuse_cut_off(path)
        listed = whosmat(path)
        for name, shape, kind in listed:
            if kind in ("cell", "struct", "object", "function", "char", "opaque", "unknown"):
                continue
            # of MATLAB's numbers none takes more than 8 bytes
            _check(f"{path}:{name}", shape, np.dtype("f8"), most=_MOST_IN_MEMORY)
            last = len(shape) > 2  # (H, W, C, N) of pictures; labels are (N, 1)
            turned = (shape[-1], *shape[:-1]) if last else tuple(shape)
            dtype = np.dtype(kind if kind not in ("logical", "sparse") else "u1")
            arrays[name] = Array(turned, dtype, _mat_blocks(path, name, loadmat, last=last))
    return arrays


def _refuse_cut_off(path: str) -> None:
    """Whether the elements of a file end where it does: scipy takes the rest for nothing."""
    with Path(path).open("rb") as stream:
        order = {b"IM": "<", b"MI": ">"}[stream.read(128)[126:]]
        size, at = stream.seek(0, 2), 128
        while at < size:
            stream.seek(at)
            _, length = struct.unpack(f"{order}II", stream.read(8))
            at += 8 + length
        if at > size:
            raise EOFError("it is cut off")


def _mat_blocks(
    path: str, name: str, load: Callable[..., Any], *, last: bool
) -> Callable[[int], Iterator[NDArray[Any]]]:
    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with _whole(path, name):
            values = np.asarray(load(path, variable_names=[name])[name])
        if last:
            values = np.moveaxis(values, -1, 0)
        for start in range(0, len(values), rows):
            yield np.ascontiguousarray(values[start : start + rows])

    return blocks


def _idx(path: str) -> dict[str, Array] | None:
    """A file of pictures, and that of the labels beside it."""
    with _whole(path):
        array = _idx_array(path)
    if array is None:
        return None
    name = Path(path).name
    beside = Path(path).with_name(_LABELS.sub(r"labels\1idx1", name))
    if len(array.shape) != 3:
        return {"label" if len(array.shape) == 1 else "image": array}
    arrays = {"image": array}
    if beside.name != name and beside.is_file():
        with _whole(str(beside)):
            labels = _idx_array(str(beside))
        if labels is None:
            raise ReadError("is no file of labels", where=beside, mend=_COPY)
        arrays["label"] = labels
    return arrays


def _opened(path: str) -> Any:
    with regular_file(path).open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else Path(path).open("rb")


def _idx_array(path: str) -> Array | None:
    with _opened(path) as stream:
        begin = stream.read(4)
        if len(begin) < 4 or begin[:2] != b"\0\0" or begin[2] not in _IDX or not begin[3]:
            return None
        sizes = stream.read(4 * begin[3])
        shape = struct.unpack(f">{begin[3]}I", sizes)
    dtype = np.dtype(_IDX[begin[2]])
    _check(path, shape, dtype)

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with _whole(path), _opened(path) as stream:
            stream.read(4 + 4 * len(shape))
            yield from _rows(stream, Array(shape, dtype, blocks), rows)
            if stream.read(1):
                raise ValueError("it goes on behind its last row")

    return Array(shape, dtype, blocks)
