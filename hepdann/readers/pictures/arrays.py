"""Files of arrays: NumPy's npz, HDF5, MATLAB's mat and MNIST's idx.

They come from strangers. Sizes are checked before anything is unpacked, no file says how its
content is to be executed (no pickles), and what is cut off or damaged gives one line.
"""

from __future__ import annotations

import gzip
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...inputs import first_bytes, regular_file
from ..hdf5 import is_hdf5, open_datasets
from ..root.opening import reading

_MOST = 1 << 36  # bytes of one array
_MOST_IN_MEMORY = 1 << 32  # of a format that is read as a whole
_MOST_ROWS = 1 << 28
_DAMAGED = "is damaged"
_HEADER = 4096  # characters of the header of an array, at most
_GZIP = b"\x1f\x8b"
_IDX = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_NO_NUMBERS = ("cell", "struct", "object", "function", "char", "opaque", "unknown")  # of MATLAB
_LABELS = re.compile(r"images([-.])idx3")


@dataclass(frozen=True, eq=False)
class Array:
    """An array of a file.

    Attributes:
        where: file and name, for errors.
        shape: of all of it; the first axis is that of the rows.
        dtype: of its elements.
        opened: the context in which slices of its rows can be read.
    """

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    opened: Callable[[], AbstractContextManager[Any]]

    def blocks(self, rows: int) -> Iterator[NDArray[Any]]:
        """All of it in order, so many rows at a time.

        Raises:
            ReadError: it is damaged.
        """
        with reading(self.where, _DAMAGED), self.opened() as values:
            for start in range(0, self.shape[0], rows):
                yield np.asarray(values[start : start + rows])


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
    begin = first_bytes(path, 128)
    if begin.startswith(b"PK"):
        return ArrayFile(path, "npz", _npz(path))
    if is_hdf5(path):
        return ArrayFile(path, "HDF5", _hdf5(path))
    if begin.startswith(b"MATLAB 5.0"):
        return ArrayFile(path, "mat", _mat(path))
    if begin.startswith(b"MATLAB 7.3"):
        raise ReadError("is of MATLAB 7.3", where=path, mend="save it with -v7")
    if begin[:2] in (_GZIP, b"\0\0"):
        arrays = _idx(path)
        return None if arrays is None else ArrayFile(path, "idx", arrays)
    return None


def _check(where: str, shape: tuple[int, ...], dtype: np.dtype[Any], most: int) -> None:
    """Refuse an array that claims more bytes or rows than one may have, before it is read."""
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size > most or shape[0] > _MOST_ROWS:
        raise ReadError(
            f"claims {size / 2**30:,.0f} GiB ({' × '.join(map(str, shape))})",
            where=where,
            mend="split it into smaller files",
        )


def _npz(path: str) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    with reading(path, _DAMAGED), zipfile.ZipFile(path) as file:
        for member in file.namelist():
            name, where = member.removesuffix(".npy"), f"{path}:{member}"
            if name == member:
                continue
            with file.open(member) as stream:
                later = np.lib.format.read_magic(stream) != (1, 0)
                read = getattr(np.lib.format, f"read_array_header_{1 + later}_0")
                shape, _, dtype = read(stream, max_header_size=_HEADER)
            if dtype.hasobject:
                raise ReadError(
                    "holds Python objects, which are not read",
                    where=where,
                    mend="save arrays of numbers",
                )
            if shape:
                _check(where, tuple(shape), dtype, _MOST_IN_MEMORY)
                arrays[name] = Array(where, tuple(shape), dtype, partial(_of_npz, path, name))
    return arrays


@contextmanager
def _of_npz(path: str, name: str) -> Iterator[NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        yield file[name]


def _hdf5(path: str) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    with open_datasets(path) as datasets:
        for dataset in datasets.values():
            name, shape = dataset.name.lstrip("/"), tuple(int(n) for n in dataset.shape or ())
            if shape and dataset.dtype.kind in "biuf":
                opened = partial(_of_hdf5, path, name)
                _check(f"{path}:{name}", shape, dataset.dtype, _MOST)
                arrays[name] = Array(f"{path}:{name}", shape, dataset.dtype, opened)
    return arrays


@contextmanager
def _of_hdf5(path: str, name: str) -> Iterator[Any]:
    with open_datasets(path) as datasets:
        yield next(one for one in datasets.values() if one.name.lstrip("/") == name)


def _mat(path: str) -> dict[str, Array]:
    """MATLAB has the rows last: (H, W, C, N) of pictures; labels are (N, 1)."""
    from scipy.io import whosmat

    arrays: dict[str, Array] = {}
    with reading(path, _DAMAGED):
        _refuse_cut_off(path)
        for name, shape, kind in whosmat(path):
            if kind not in _NO_NUMBERS:
                turned = (shape[-1], *shape[:-1]) if len(shape) > 2 else tuple(shape)
                dtype = np.dtype(kind if kind not in ("logical", "sparse") else "u1")
                where, opened = f"{path}:{name}", partial(_of_mat, path, name)
                # of MATLAB's numbers none takes more than 8 bytes
                _check(where, turned, np.dtype("f8"), _MOST_IN_MEMORY)
                arrays[name] = Array(where, turned, dtype, opened)
    return arrays


@contextmanager
def _of_mat(path: str, name: str) -> Iterator[NDArray[Any]]:
    from scipy.io import loadmat

    values = np.asarray(loadmat(path, variable_names=[name])[name])
    yield np.moveaxis(values, -1, 0) if values.ndim > 2 else values


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


def _idx(path: str) -> dict[str, Array] | None:
    """A file of pictures, and that of the labels beside it."""
    array = _idx_array(path)
    if array is None:
        return None
    name = Path(path).name
    beside = Path(path).with_name(_LABELS.sub(r"labels\1idx1", name))
    if len(array.shape) != 3:
        return {"label" if len(array.shape) == 1 else "image": array}
    arrays = {"image": array}
    if beside.name != name and beside.is_file():
        labels = _idx_array(str(beside))
        if labels is None:
            raise ReadError("is no file of labels", where=beside, mend="copy the file again")
        arrays["label"] = labels
    return arrays


def _idx_array(path: str) -> Array | None:
    with reading(path, _DAMAGED), _unpacked(path) as stream:
        begin = stream.read(4)
        if len(begin) < 4 or begin[:2] != b"\0\0" or begin[2] not in _IDX or not begin[3]:
            return None
        shape = struct.unpack(f">{begin[3]}I", stream.read(4 * begin[3]))
    dtype = np.dtype(_IDX[begin[2]])
    _check(path, shape, dtype, _MOST_IN_MEMORY)
    return Array(path, shape, dtype, partial(_of_idx, path, shape, dtype))


@contextmanager
def _of_idx(path: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    begin = 4 + 4 * len(shape)
    size = begin + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    with _unpacked(path) as stream:
        content = stream.read(size + 1)
    if len(content) != size:
        raise ValueError(f"it has {'more' if len(content) > size else 'fewer'} than {size} bytes")
    yield np.frombuffer(content, dtype, offset=begin).reshape(shape)


def _unpacked(path: str) -> Any:
    packed = first_bytes(path, len(_GZIP)) == _GZIP
    return gzip.open(path) if packed else regular_file(path).open("rb")
