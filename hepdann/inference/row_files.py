"""Files that run along an input row by row: trees, RNTuples, parquet and HDF5.

Each carries a seal: what it was made of. A file without one was not written here.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable

Format = Literal["tree", "rntuple", "parquet", "hdf5"]
Columns = Mapping[str, NDArray[Any]]

SUFFIXES: dict[Format, str] = {
    "tree": ".root", "rntuple": ".root", "parquet": ".parquet", "hdf5": ".h5",
}  # fmt: skip
SEAL = "hepdann-predict"
IDENTITY = "event_id"
_BASKET = 1 << 17  # rows that are collected before they are written
_LONGEST = 1 << 20  # bytes of a seal


class RowFile(ABC):
    """A file that is being written; to be used as a context."""

    def __init__(
        self, path: Path, tree: str, types: Mapping[str, np.dtype[Any]], entries: int
    ) -> None:
        self._types, self._waiting = dict(types), 0
        self._pending: list[Columns] = []
        self._open(path, tree, entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # the file is thrown away: what closing it says does not matter
            with suppress(Exception):
                self._close("")

    def finish(self, seal: Mapping[str, Any]) -> None:
        """Write what is left, and what the file was made of."""
        self._flush()
        self._close(json.dumps(seal))

    def append(self, rows: Columns) -> None:
        """Add rows, all columns of them."""
        self._pending.append(rows)
        self._waiting += len(rows[IDENTITY])
        if self._waiting >= _BASKET:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            together = {
                name: np.concatenate([rows[name] for rows in self._pending]) for name in self._types
            }
            self._pending, self._waiting = [], 0
            self._write(together)

    @abstractmethod
    def _open(self, path: Path, tree: str, entries: int) -> None: ...

    @abstractmethod
    def _write(self, rows: Columns) -> None: ...

    @abstractmethod
    def _close(self, seal: str) -> None: ...


class _RootFile(RowFile):
    """A TTree, or an RNTuple, and the seal beside it."""

    _make = "mktree"

    def _open(self, path: Path, tree: str, entries: int) -> None:
        import uproot

        del entries
        self._file = uproot.recreate(path, compression=uproot.ZSTD(1))
        self._tree: Any = getattr(self._file, self._make)(tree, self._types)

    def _write(self, rows: Columns) -> None:
        self._tree.extend(dict(rows))

    def _close(self, seal: str) -> None:
        self._file[SEAL] = seal
        self._file.close()


class _NTuple(_RootFile):
    _make = "mkrntuple"


class _Parquet(RowFile):
    def _open(self, path: Path, tree: str, entries: int) -> None:
        del tree, entries
        arrow, parquet = _pyarrow()

        def field(dtype: np.dtype[Any]) -> Any:
            base, shape = dtype.subdtype or (dtype, ())
            kind = arrow.from_numpy_dtype(base)
            for size in reversed(shape):
                kind = arrow.list_(kind, size)
            return kind

        self._arrow = arrow
        kinds = [(name, field(dtype)) for name, dtype in self._types.items()]
        self._schema = arrow.schema(kinds)
        self._file = parquet.ParquetWriter(path, self._schema, compression="zstd")

    def _write(self, rows: Columns) -> None:
        def array(name: str) -> Any:
            values, kinds = rows[name], [self._schema.field(name).type]
            while self._arrow.types.is_fixed_size_list(kinds[-1]):
                kinds.append(kinds[-1].value_type)
            made = self._arrow.array(values.reshape(-1), kinds.pop())
            for kind in reversed(kinds):
                made = self._arrow.FixedSizeListArray.from_arrays(made, type=kind)
            return made

        arrays = [array(name) for name in self._types]
        self._file.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))

    def _close(self, seal: str) -> None:
        self._file.add_key_value_metadata({SEAL: seal})
        self._file.close()


class _Hdf5(RowFile):
    """A dataset a column, at the root of the file: an HDF5 file has no trees."""

    def _open(self, path: Path, tree: str, entries: int) -> None:
        import h5py

        del tree
        self._file, self._done = h5py.File(path, "w"), 0
        for name, dtype in self._types.items():
            base, shape = dtype.subdtype or (dtype, ())
            self._file.create_dataset(name, (entries, *shape), base)

    def _write(self, rows: Columns) -> None:
        stop = self._done + len(rows[IDENTITY])
        for name in self._types:
            self._file[name][self._done : stop] = rows[name]
        self._done = stop

    def _close(self, seal: str) -> None:
        self._file.attrs[SEAL] = seal
        self._file.close()


_KINDS: dict[Format, Callable[..., RowFile]] = {
    "tree": _RootFile, "rntuple": _NTuple, "parquet": _Parquet, "hdf5": _Hdf5,
}  # fmt: skip


def row_file(
    kind: Format,
    path: Path,
    *,
    tree: str,
    types: Mapping[str, np.dtype[Any]],
    entries: int,
) -> RowFile:
    """Begin a file of a format; the arguments are those of :class:`RowFile`.

    Raises:
        ConfigError: the format needs a package that is not installed.
    """
    return _KINDS[kind](path, tree, types, entries)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            "parquet is written with pyarrow, which is not installed",
            where="--format parquet",
            mend="pip install 'hepdann[parquet]'",
        ) from error
    return pyarrow, pyarrow.parquet


def read_seal(kind: Format, path: Path) -> dict[str, Any] | None:
    """What a file was made of; ``None`` if it was not written here, or cannot be read."""
    try:
        text = _SEALS[kind](path)
        content = json.loads(text) if len(text) < _LONGEST else None
    except ConfigError:
        raise
    except Exception:  # whatever is there: it is none of ours, or is damaged
        return None
    return content if isinstance(content, dict) else None


def _root_seal(path: Path) -> str:
    import uproot

    with uproot.open(path) as file:
        return str(file[SEAL])


def _parquet_seal(path: Path) -> str:
    _, parquet = _pyarrow()
    return str(parquet.read_metadata(path).metadata[SEAL.encode()].decode())


def _hdf5_seal(path: Path) -> str:
    import h5py

    with h5py.File(path, "r") as file:
        return str(file.attrs[SEAL])


_SEALS: dict[Format, Callable[[Path], str]] = {
    "tree": _root_seal, "rntuple": _root_seal, "parquet": _parquet_seal, "hdf5": _hdf5_seal,
}  # fmt: skip


def written_ids(kind: Format, path: Path, tree: str, entries: int) -> Iterator[NDArray[np.uint64]]:
    """The identities in a file, read back in order.

    Raises:
        RunError: the file has another number of rows.
    """
    reader = {"parquet": _parquet_ids, "hdf5": _hdf5_ids}.get(kind, _root_ids)
    done = 0
    for part in reader(path, tree):
        done += len(part)
        yield part
    if done != entries:
        raise RunError(f"{done} rows were written of {entries}", where=path, mend="try again")


def _root_ids(path: Path, tree: str) -> Iterator[NDArray[np.uint64]]:
    import uproot

    with uproot.open(path) as file:
        rows = file[tree]
        for start in range(0, rows.num_entries, _BASKET):
            stop = start + _BASKET
            yield np.asarray(rows[IDENTITY].array(entry_start=start, entry_stop=stop, library="np"))


def _parquet_ids(path: Path, tree: str) -> Iterator[NDArray[np.uint64]]:
    del tree
    _, parquet = _pyarrow()
    for part in parquet.ParquetFile(path).iter_batches(columns=[IDENTITY]):
        yield part.column(0).to_numpy()


def _hdf5_ids(path: Path, tree: str) -> Iterator[NDArray[np.uint64]]:
    import h5py

    del tree
    with h5py.File(path, "r") as file:
        rows = file[IDENTITY]
        for start in range(0, len(rows), _BASKET):
            yield np.asarray(rows[start : start + _BASKET])
