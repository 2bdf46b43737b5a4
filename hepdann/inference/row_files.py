"""Files that run along an input row by row: trees, RNTuples, parquet and HDF5.

Each carries a seal: what it was made of. A file without one was not written here.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, RunError
from ..outputs import LONGEST_NAME, name_fault
from ..readers import FileRef, scan
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
        arrow, parquet = _pyarrow()

        def field(dtype: np.dtype[Any]) -> Any:
            if dtype == LISTS:
                return arrow.list_(arrow.float32())
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
            if self._types[name] == LISTS:
                return self._arrow.array(values.tolist(), kinds[0])
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

    @staticmethod
    def seal(path: Path) -> str:
        return str(_pyarrow()[1].read_metadata(path).metadata[SEAL.encode()].decode())


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
        text = KINDS[kind].seal(path)
        content = json.loads(text) if len(text) < _LONGEST else None
    except ConfigError:
        raise
    except Exception:  # whatever is there: it is none of ours, or is damaged
        return None
    return content if isinstance(content, dict) else None


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


_UNUSUAL = re.compile(r"[^\w.+-]+")
_COPY = ".root"


def output_files(
    refs: Sequence[FileRef], output: Path, kind: Format, *, copies: bool
) -> list[Path]:
    """The output of each input, the same whichever of them are processed.

    Raises:
        ConfigError: an output would be an input.
    """
    suffix = _COPY if copies else SUFFIXES[kind]
    if len(refs) == 1 and output.suffix == suffix and not output.is_dir():
        paths = [output]
    else:
        ending = suffix if copies else f".scores{suffix}"
        paths = [output / f"{stem}{ending}" for stem in _stems(refs)]
    inputs = {ref.identity: ref for ref in refs}
    for path in paths:
        if str(path.resolve()) in inputs:
            raise ConfigError(
                "is an input, which is never written to", where=path, mend="choose another -o"
            )
    return paths


def _stems(refs: Sequence[FileRef]) -> list[str]:
    """The names of the files; of those alike with their folders, tree and a number of their own."""
    parts = [_parts(ref) for ref in refs]
    stems = [_safe(names[-1]) for names in parts]
    deepest = max(len(names) for names in parts)
    for depth in range(2, deepest + 1):
        count = Counter(map(str.casefold, stems))
        stems = [
            _safe("_".join(names[-depth:])) if count[stem.casefold()] > 1 else stem
            for stem, names in zip(stems, parts, strict=True)
        ]
    count = Counter(map(str.casefold, stems))
    digests = [hashlib.sha256(f"{r.identity}:{r.tree}".encode()).hexdigest()[:8] for r in refs]
    return [
        f"{stem}-{digest}" if count[stem.casefold()] > 1 else stem
        for stem, digest in zip(stems, digests, strict=True)
    ]


def _parts(ref: FileRef) -> tuple[str, ...]:
    """Folders and name of an input; the tree is the last folder where it was named."""
    path = PurePosixPath(ref.identity.partition("://")[2] if ref.remote else ref.identity)
    name = path.stem if path.suffix in (".root", ".h5", ".hdf5", ".npz", ".mat") else path.name
    return (*path.parts[1:-1], *(() if ref.tree is None else (ref.tree,)), name)


def _safe(name: str) -> str:
    """A name that is the name of a file everywhere."""
    short = _UNUSUAL.sub("_", name).lstrip("._")[-(LONGEST_NAME - 40) :].lstrip("._")
    return short if name_fault(short) is None else "file"
