"""Files that run along an input row by row: of their own, or copies with further branches."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, RunError
from ..readers import FileRef, FileScan, scan
from ..readers.pipeline.entry_ranges import choose_reader

Format = Literal["tree", "rntuple", "parquet", "hdf5"]
Columns = Mapping[str, NDArray[Any]]

SUFFIXES: dict[Format, str] = {
    "tree": ".root", "rntuple": ".root", "parquet": ".parquet", "hdf5": ".h5",
}  # fmt: skip
SEAL = "hepdann-predict"
IDENTITY = "event_id"
LISTS = np.dtype(object)  # of a column with an array of numbers in each row
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

    @staticmethod
    def seal(path: Path) -> str:
        """The seal of a file."""
        raise NotImplementedError


class _RootFile(RowFile):
    """A TTree, or an RNTuple, and the seal beside it."""

    _make = "mktree"

    def _open(self, path: Path, tree: str, entries: int) -> None:
        import uproot

        del entries
        self._file = uproot.recreate(path, compression=uproot.ZSTD(1))
        types = {n: "var * float32" if kind == LISTS else kind for n, kind in self._types.items()}
        self._tree: Any = getattr(self._file, self._make)(tree, types)

    def _write(self, rows: Columns) -> None:
        self._tree.extend(
            {n: _jagged(v) if self._types[n] == LISTS else v for n, v in rows.items()}
        )

    def _close(self, seal: str) -> None:
        self._file[SEAL] = seal
        self._file.close()

    @staticmethod
    def seal(path: Path) -> str:
        import uproot

        with uproot.open(path) as file:
            return str(file[SEAL])


def _jagged(values: NDArray[Any]) -> Any:
    """Arrays of numbers, one a row, as an awkward array."""
    import awkward

    return awkward.unflatten(np.concatenate(values), [len(one) for one in values])


class _NTuple(_RootFile):
    _make = "mkrntuple"


class _Parquet(RowFile):
    def _open(self, path: Path, tree: str, entries: int) -> None:
        del tree, entries
        parquet = _pyarrow().parquet
        none = {
            name: np.empty((0, 0), np.float32) if kind == LISTS else np.empty(0, kind)
            for name, kind in self._types.items()
        }
        self._file = parquet.ParquetWriter(path, self._table(none).schema, compression="zstd")

    def _table(self, rows: Columns) -> Any:
        import awkward

        columns: dict[str, Any] = {name: rows[name] for name in self._types}
        for name in (name for name, kind in self._types.items() if kind == LISTS):
            values = rows[name]
            columns[name] = _jagged(values) if len(values) else awkward.from_regular(values)
        records = awkward.zip(columns, depth_limit=1)
        return awkward.to_arrow_table(records, extensionarray=False, list_to32=True)

    def _write(self, rows: Columns) -> None:
        self._file.write_table(self._table(rows))

    def _close(self, seal: str) -> None:
        self._file.add_key_value_metadata({SEAL: seal})
        self._file.close()

    @staticmethod
    def seal(path: Path) -> str:
        return str(_pyarrow().parquet.read_metadata(path).metadata[SEAL.encode()].decode())


class _Hdf5(RowFile):
    """A dataset a column, at the root of the file: an HDF5 file has no trees."""

    def _open(self, path: Path, tree: str, entries: int) -> None:
        import h5py

        del tree
        self._file, self._done = h5py.File(path, "w"), 0
        for name, dtype in self._types.items():
            base, shape = dtype.subdtype or (dtype, ())
            base = h5py.vlen_dtype(np.float32) if dtype == LISTS else base
            self._file.create_dataset(name, (entries, *shape), base)

    def _write(self, rows: Columns) -> None:
        stop = self._done + len(rows[IDENTITY])
        for name in self._types:
            self._file[name][self._done : stop] = rows[name]
        self._done = stop

    def _close(self, seal: str) -> None:
        self._file.attrs[SEAL] = seal
        self._file.close()

    @staticmethod
    def seal(path: Path) -> str:
        import h5py

        with h5py.File(path, "r") as file:
            return str(file.attrs[SEAL])


KINDS: dict[Format, type[RowFile]] = {
    "tree": _RootFile, "rntuple": _NTuple, "parquet": _Parquet, "hdf5": _Hdf5,
}  # fmt: skip


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            "parquet is written with pyarrow, which is not installed",
            where="--format parquet",
            mend="pip install 'hepdann[parquet]'",
        ) from error
    return pyarrow


def read_seal(kind: Format, path: Path) -> dict[str, Any] | None:
    """What a file was made of; ``None`` if it was not written here, or cannot be read."""
    try:
        text = KINDS[kind].seal(path)
        content = json.loads(text) if len(text) < _LONGEST else {}
        whole = isinstance(content["made_of"], dict) and "counts" in content
    except ConfigError:
        raise
    except Exception:  # whatever is there: it is none of ours, or is damaged
        return None
    return content if whole else None


def written_ids(kind: Format, path: Path, tree: str, entries: int) -> Iterator[NDArray[np.uint64]]:
    """The identities in a file, read back in order.

    Raises:
        ReadError: the file cannot be read.
        RunError: it has another number of rows.
    """
    (file,) = scan([FileRef(str(path), None if kind == "hdf5" else tree)])
    if file.entries != entries:
        what = f"{file.entries} rows were written of {entries}"
        raise RunError(what, where=path, mend="try again")
    for block in choose_reader("auto")(file, [IDENTITY], _BASKET):
        yield np.asarray(block.columns[IDENTITY], np.uint64)


_GROUP = "counted by "  # begins a name that uproot needs and does not write
_FRIEND = "leave --into-copy out: the tree that is then written can be added as a friend"


def copy_with_branches(path: Path, file: FileScan, types: Mapping[str, np.dtype[Any]]) -> RowFile:
    """Begin a copy of a file; the columns become branches of the tree that was scanned.

    Raises:
        ConfigError: the input is no TTree in a local file, has a branch of the same name, or
            branches that uproot cannot write.
    """
    where = f"{file.path}:{file.tree}"
    if file.kind != "TTree" or "://" in file.path:
        what = "a remote file" if "://" in file.path else f"no TTree, but {file.kind}"
        raise ConfigError(
            f"is {what}: nothing can be added to a copy of it", where=where, mend=_FRIEND
        )
    clash = [name for name in types if name in file.branches]
    if clash:
        raise ConfigError(f"has a branch '{clash[0]}' already", where=where, mend=_FRIEND)
    return _BranchCopy(path, file, types)


class _BranchCopy(RowFile):
    """Adds branches to the tree or, where uproot cannot, writes the tree anew.

    uproot adds branches to trees of one basket a branch. The other tree goes out of the directory
    of the file: of two cycles ROOT opens the first in the directory, where uproot leaves the older.
    """

    def __init__(self, path: Path, file: FileScan, types: Mapping[str, np.dtype[Any]]) -> None:
        self._input = file
        super().__init__(path, file.tree, types, file.entries)

    def _open(self, path: Path, tree: str, entries: int) -> None:
        import uproot

        del entries
        self._old = uproot.open({self._input.path: tree}, array_cache=None)
        self._addable = all(b.num_baskets <= 1 and not b.branches for b in self._old.branches)
        self._layout = None if self._addable else _Layout.of(self._old, self._input)
        shutil.copyfile(self._input.path, path)
        self._file = uproot.update(path)
        self._new: Any = None
        self._name, self._done = tree, 0
        self._kept: list[Columns] = []

    def _write(self, rows: Columns) -> None:
        if self._addable:
            self._kept.append(rows)  # of one basket
            return
        assert self._layout is not None
        if self._new is None:
            folder, _, name = self._name.rpartition("/")
            directory = self._file[folder] if folder else self._file
            for key in directory.keys(recursive=False):  # every cycle of the tree
                if key.rpartition(";")[0] == name:
                    del directory[key]
            self._new = self._layout.begin(self._file, self._name, self._types)
        stop = self._done + len(rows[IDENTITY])
        self._new.extend({**self._layout.read(self._old, self._done, stop), **rows})
        self._done = stop

    def _close(self, seal: str) -> None:
        if self._addable and self._kept and seal:
            columns = {n: np.concatenate([rows[n] for rows in self._kept]) for n in self._types}
            try:
                self._file[self._name].add_branches(columns)
            except NotImplementedError:
                self._addable, self._layout = False, _Layout.of(self._old, self._input)
                self._write(columns)
        self._file[SEAL] = seal
        self._file.close()
        self._old.file.close()


@dataclass(frozen=True)
class _Layout:
    """How the branches of a tree are read and written again.

    Attributes:
        plain: one number, or an array of fixed size, an entry.
        counted: name of a counter to the branches whose lengths it holds.
    """

    plain: Mapping[str, np.dtype[Any]]
    counted: Mapping[str, Mapping[str, np.dtype[Any]]]

    @classmethod
    def of(cls, tree: Any, file: FileScan) -> Self:
        """The layout of a tree."""
        import uproot

        plain: dict[str, np.dtype[Any]] = {}
        counted: dict[str, dict[str, np.dtype[Any]]] = {}
        for branch in tree.branches:
            kind, counter = branch.interpretation, branch.count_branch
            jagged = isinstance(kind, uproot.AsJagged) and counter is not None
            content = kind.content if jagged else kind
            numbers = type(content) is uproot.AsDtype and content.to_dtype.base.kind in "biuf"
            if branch.branches or not numbers or (jagged and content.to_dtype.subdtype):
                raise ConfigError(
                    f"branch '{branch.name}' ({branch.typename}) cannot be written to a copy",
                    where=f"{file.path}:{file.tree}",
                    mend=_FRIEND,
                )
            dtype = content.to_dtype.newbyteorder("=")
            if jagged:
                counted.setdefault(counter.name, {})[branch.name] = dtype
            else:
                plain[branch.name] = dtype
        for counter_name in counted:
            plain.pop(counter_name, None)  # uproot writes them
        return cls(plain, counted)

    def begin(self, file: Any, name: str, types: Mapping[str, np.dtype[Any]]) -> Any:
        """Make the tree, with further branches of some types."""
        from awkward.types import ListType, NumpyType, RecordType

        groups = {
            _GROUP + counter: ListType(
                RecordType([NumpyType(t.name) for t in one.values()], [*one])
            )
            for counter, one in self.counted.items()
        }
        return file.mktree(
            name,
            {**self.plain, **groups, **types},
            counter_name=lambda group: group.removeprefix(_GROUP),
            field_name=lambda _, field: field,
        )

    def read(self, tree: Any, start: int, stop: int) -> dict[str, Any]:
        """Some entries of the branches, as the new tree takes them."""
        import awkward

        def array(name: str, library: str) -> Any:
            return tree[name].array(entry_start=start, entry_stop=stop, library=library)

        groups = {
            _GROUP + counter: awkward.zip({name: array(name, "ak") for name in one}, depth_limit=2)
            for counter, one in self.counted.items()
        }
        return {name: array(name, "np") for name in self.plain} | groups
