"""Parquet files as the other readers see a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import ReadError
from ..inputs import file_stamp
from .pipeline.blocks import RawBlock, misread
from .prescan import Branch, FileScan, number_branch
from .root.opening import reading

SIGNATURE = b"PAR1"
_UNNAMED = "table"  # a file holds one table, which has no name


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


def scan_parquet(path: str, tree: str | None, prefer: str | None) -> FileScan:
    """What is in a local file; its one table goes by any name. No event is read."""
    name = tree or prefer or _UNNAMED
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
            branches[field.name] = number_branch(field.name, str(field.type), dtype, shape)
    return FileScan(path, name, "Parquet", entries, branches, {name: entries}, stamp)


def read_parquet(file: FileScan, branches: Sequence[str], size: int) -> Iterator[RawBlock]:
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
