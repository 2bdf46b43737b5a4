"""Tables in files that are not ROOT: parquet, and HDF5 datasets with named columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ReadError
from ..inputs import file_stamp, regular_file
from ..tensors.hdf5.chunks import h5_open, refuse_elsewhere
from ..tensors.layout import FORMAT
from .pipeline.blocks import BlockReader, RawBlock, misread
from .prescan import Branch, FileScan, choose_tree
from .root.opening import reading

_PARQUET = b"PAR1"
_UNNAMED = "table"  # a parquet file holds one table, which has no name


def scan_table(path: str, tree: str | None, prefer: str | None) -> FileScan | None:
    """What is in a local file of tables; ``None`` of any other file. No event is read.

    Args:
        path: the file.
        tree: a dataset of an HDF5 file; parquet takes any name.
        prefer: likewise, if the file has it.

    Raises:
        ReadError: it cannot be read, or has no such dataset.
    """
    if "://" in path:
        return None
    try:
        with regular_file(path).open("rb") as stream:
            parquet = stream.read(len(_PARQUET)) == _PARQUET
    except OSError:
        return None
    if parquet:
        return _scan_parquet(path, tree or prefer or _UNNAMED)
    try:
        with _structured(path) as tables:
            return _scan_structured(path, tables, tree, prefer) if tables else None
    except (OSError, LookupError, RuntimeError, ValueError):  # no HDF5, or damaged: others say how
        return None


def _branch(name: str, typename: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Branch:
    if dtype.kind not in "biuf":
        return Branch(name, typename, None, (), "not a number")
    if 0 in shape:
        return Branch(name, typename, None, (), "an array of length 0")
    return Branch(name, typename, dtype.newbyteorder("="), shape)


@contextmanager
def _parquet(path: str) -> Iterator[Any]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        mend = 'pip install "hepdann[parquet]"'
        raise ReadError(
            "parquet is read with pyarrow, which is not installed", where=path, mend=mend
        ) from error
    with reading(path, "cannot be read"), parquet.ParquetFile(path, memory_map=False) as file:
        yield file


def _scan_parquet(path: str, name: str) -> FileScan:
    stamp, branches = file_stamp(path), {}
    with _parquet(path) as file:
        entries, groups = int(file.metadata.num_rows), range(file.metadata.num_row_groups)
        leaves = {file.schema.column(i).path: i for i in range(len(file.schema))}
        for field in file.schema_arrow:
            kind: Any = field.type
            shape: tuple[int, ...] = ()
            if hasattr(kind, "list_size"):
                kind, shape = kind.value_type, (int(kind.list_size),)
            if hasattr(kind, "value_type") or hasattr(kind, "fields"):
                branches[field.name] = Branch(field.name, str(field.type), None, (), "is a list")
                continue
            try:
                dtype = np.dtype(kind.to_pandas_dtype())
            except (NotImplementedError, TypeError):
                dtype = np.dtype(object)
            if dtype.kind in "biu" and not shape:  # a missing number is NaN
                chunks = (file.metadata.row_group(g).column(leaves[field.name]) for g in groups)
                if any(c.statistics is not None and c.statistics.null_count for c in chunks):
                    dtype = np.dtype(np.float64)
            branches[field.name] = _branch(field.name, str(field.type), dtype, shape)
    return FileScan(path, name, "Parquet", entries, branches, {name: entries}, stamp)


def _read_parquet(file: FileScan, branches: Sequence[str], size: int) -> Iterator[RawBlock]:
    """Batches of columns; missing numbers are NaN, in whole columns of integers an error."""
    done = 0
    with _parquet(file.path) as parquet:
        batches = parquet.iter_batches(size, columns=list(branches), use_threads=False)
        while (batch := next(batches, None)) is not None:
            columns = {}
            for name in branches:
                expected = file.branches[name]
                with reading(f"{file.path}:{name}", f"entries from {done} on cannot be read"):
                    values = batch.column(name)
                    if expected.shape:
                        values = values.flatten()
                    array = values.to_numpy(zero_copy_only=False)
                    if expected.dtype == np.float64 and array.dtype.kind in "biuO":
                        array = array.astype(np.float64)  # None becomes NaN
                    columns[name] = array.reshape(batch.num_rows, *expected.shape)
                    if problem := misread(expected, columns[name]):
                        raise ReadError(
                            f"{problem}: a value is missing", where=f"{file.path}:{name}"
                        )
            yield RawBlock(done, columns)
            done += batch.num_rows


@contextmanager
def _structured(path: str) -> Iterator[dict[str, Any]]:
    """The datasets of a file that have named columns and one row an event; none of tensor files."""
    import h5py

    tables: dict[str, Any] = {}

    def see(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.names and item.ndim == 1:
            tables[name] = item

    with h5_open(path) as file:
        if str(file.attrs.get("format", "")) != FORMAT:
            file.visititems(see)
        yield tables


def _scan_structured(
    path: str, tables: dict[str, Any], tree: str | None, prefer: str | None
) -> FileScan:
    entries = {name: len(table) for name, table in tables.items()}
    name = choose_tree(path, entries, tree, prefer)
    stamp, branches = file_stamp(path), {}
    try:
        refuse_elsewhere(tables[name])
    except ValueError as error:
        raise ReadError(str(error), where=path) from error
    for column in tables[name].dtype.names:
        full = tables[name].dtype[column]
        base, shape = full.subdtype or (full, ())
        branches[column] = _branch(column, str(full), base, tuple(shape))
    return FileScan(path, name, "HDF5 table", entries[name], branches, entries, stamp)


def _read_structured(file: FileScan, branches: Sequence[str], size: int) -> Iterator[RawBlock]:
    with _structured(file.path) as tables:
        for start in range(0, file.entries, size):
            stop = min(start + size, file.entries)
            where = f"{file.path}:{file.tree}"
            with reading(where, f"entries {start}-{stop - 1} cannot be read"):
                rows: NDArray[Any] = tables[file.tree].fields(list(branches))[start:stop]
            native = rows.astype(rows.dtype.newbyteorder("="))
            yield RawBlock(start, {name: native[name].copy() for name in branches})


TABLE_READERS: dict[str, BlockReader] = {
    "Parquet": _read_parquet,
    "HDF5 table": _read_structured,
}
