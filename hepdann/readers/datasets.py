"""Files that are not ROOT, as the other readers see a tree: parquet, and datasets of HDF5.

HDF5 holds tables, which are datasets with named columns, or the collaboration's images, flat and
grouped. Of the latter a dataset is a branch. It goes by its own name, and by its path only where
two groups have one of that name, so that both schemas name their columns alike: ``planecodes``,
whether it lies in ``vtx_data`` or not. ``eventids`` gives four columns more, the numbers that it is
made of.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ReadError
from ..inputs import Stamp, file_stamp, regular_file
from ..tensors.hdf5.chunks import h5_open, refuse_elsewhere
from ..tensors.layout import FORMAT
from .pipeline.blocks import BlockReader, RawBlock, misread
from .prescan import Branch, FileScan, choose_tree
from .root.opening import reading

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_PARQUET = b"PAR1"
_UNNAMED = "table"  # a parquet file holds one table, which has no name
# run | subrun | gate | slice: the last 4, 4 and 2 decimal digits, and what is left
IDENTITY = {
    "run": (10**10, None),
    "subrun": (10**6, 10**4),
    "gate": (100, 10**4),
    "slice": (1, 100),
}
_EVENTIDS = "eventids"
_CACHE = 16 << 20  # chunks of other programs may hold many more images than a block
_COPY = "copy or download the file again"
CHANNELS = ("energy", "time")
_IMAGE = re.compile(r"(?:.*/)?(hits|times|hitimes)[-_]([xuv])", re.IGNORECASE)
_FAMILIES = {"hits": CHANNELS, "hitimes": CHANNELS, "times": ("time",)}


def image_name(name: str) -> tuple[str, tuple[str, ...], bool] | None:
    """What a dataset called ``hits-x``, ``times-u`` or ``img_data/hitimes-v`` holds.

    Returns:
        View, the channels that it may have in order, and whether it has both in one; ``None`` of
        any other name.
    """
    match = _IMAGE.fullmatch(name)
    if match is None:
        return None
    family = match[1].lower()
    return match[2].lower(), _FAMILIES[family], family == "hitimes"


def scan_datasets(path: str, tree: str | None, prefer: str | None) -> FileScan | None:
    """What is in a local file of tables or images; ``None`` of any other. No event is read.

    Args:
        path: the file.
        tree: a table of an HDF5 file; parquet takes any name, images none.
        prefer: likewise, if the file has it.

    Raises:
        ReadError: it is not a regular file, cannot be read, or has no such table.
    """
    head = _head(path)
    if head.startswith(_PARQUET):
        return _scan_parquet(path, tree or prefer or _UNNAMED)
    if head != _SIGNATURE:
        return None
    stamp = file_stamp(path)
    with _opened(path) as datasets, reading(path, "cannot be read"):
        tables = {n: d for n, d in datasets.items() if d.dtype.names and d.ndim == 1}
        if tables:
            return _scan_table(path, tables, tree, prefer, stamp)
        return _scan_images(path, _by_name(datasets), tree, stamp)


def is_hdf5(path: str) -> bool:
    """Whether a local file says that it is HDF5.

    Raises:
        ReadError: it is not a regular file.
    """
    return _head(path) == _SIGNATURE


def _head(path: str) -> bytes:
    """The first bytes of a local file; none of another one."""
    if "://" in path:
        return b""
    try:
        with regular_file(path).open("rb") as stream:
            return stream.read(len(_SIGNATURE))
    except OSError:
        return b""


def _number(name: str, typename: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Branch:
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
            branches[field.name] = _number(field.name, str(field.type), dtype, shape)
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
def open_datasets(path: str) -> Iterator[dict[str, Any]]:
    """Open a file for reading; its datasets by the names that they go by.

    Raises:
        ReadError: it cannot be opened, is truncated, or is a tensor file.
    """
    with _opened(path) as datasets:
        yield _by_name(datasets)


@contextmanager
def _opened(path: str) -> Iterator[dict[str, Any]]:
    """The same by their paths."""
    try:
        file = h5_open(path, cache=_CACHE)
    except OSError as error:
        if "truncated" in str(error):
            raise ReadError("is truncated", where=path, mend=_COPY) from error
        raise ReadError(f"cannot be opened ({error})", where=path, mend=_COPY) from error
    datasets: dict[str, Any] = {}

    def see(name: str, item: Any) -> None:
        if hasattr(item, "dtype"):
            datasets[name] = item

    with file:
        with reading(path, "its datasets cannot be listed"):
            if str(file.attrs.get("format", "")) == FORMAT:
                raise ReadError(
                    "is a tensor file already", where=path, mend=f"hepdann train {path} reads it"
                )
            file.visititems(see)
        try:
            for dataset in datasets.values():
                refuse_elsewhere(dataset)
        except ValueError as error:
            mend = "write all of it into one file, with h5repack for example"
            raise ReadError(str(error), where=path, mend=mend) from error
        yield datasets


def _by_name(datasets: Mapping[str, Any]) -> dict[str, Any]:
    names = {path: path.rsplit("/", 1)[-1] for path in datasets}
    count = Counter(names.values())
    return {
        path if count[names[path]] > 1 else names[path]: dataset
        for path, dataset in datasets.items()
    }


def _scan_table(
    path: str, tables: dict[str, Any], tree: str | None, prefer: str | None, stamp: Stamp | None
) -> FileScan:
    entries = {name: len(table) for name, table in tables.items()}
    name, branches = choose_tree(path, entries, tree, prefer), {}
    for column in tables[name].dtype.names:
        full = tables[name].dtype[column]
        base, shape = full.subdtype or (full, ())
        branches[column] = _number(column, str(full), base, tuple(shape))
    return FileScan(path, name, "HDF5 table", entries[name], branches, entries, stamp)


def _read_table(file: FileScan, branches: Sequence[str], size: int) -> Iterator[RawBlock]:
    where = f"{file.path}:{file.tree}"
    with _opened(file.path) as datasets:
        for start in range(0, file.entries, size):
            stop = min(start + size, file.entries)
            with reading(where, f"entries {start}-{stop - 1} cannot be read"):
                rows: NDArray[Any] = datasets[file.tree].fields(list(branches))[start:stop]
            native = rows.astype(rows.dtype.newbyteorder("="))
            yield RawBlock(start, {name: native[name].copy() for name in branches})


def _scan_images(
    path: str, datasets: Mapping[str, Any], tree: str | None, stamp: Stamp | None
) -> FileScan:
    """Datasets along the events of a file, which has no trees."""
    if tree not in (None, "/"):
        raise ReadError(
            "an HDF5 file has no trees", where=f"{path}:{tree}", mend="name the file alone"
        )
    listed = {n: d for n, d in datasets.items() if d.shape}
    if not listed:
        raise ReadError(
            "is not a tensor file, and holds no dataset of events",
            where=path,
            mend="name a file of hit images",
        )
    entries = _common(path, {name: len(dataset) for name, dataset in listed.items()})
    branches = {name: _branch(name, dataset, entries) for name, dataset in listed.items()}
    ids = branches.get(_EVENTIDS)
    if ids is not None and ids.dtype is not None and ids.dtype.kind in "iu":
        for name in IDENTITY:
            branches.setdefault(name, Branch(name, f"part of {_EVENTIDS}", np.dtype(np.int64)))
    return FileScan(path, "/", "HDF5", entries, branches, {"/": entries}, stamp)


def _common(path: str, lengths: dict[str, int]) -> int:
    """The number of events, which images decide where there are any."""
    images = {name: size for name, size in lengths.items() if image_name(name)}
    expected = max(images or lengths, key=lambda name: lengths[name])
    for name, size in (images or {}).items():
        if size != lengths[expected]:
            raise ReadError(
                f"{name} has {size} events, {expected} has {lengths[expected]}",
                where=path,
                mend=f"the views of a file run along: {_COPY}, or leave it out (--skip-bad)",
            )
    return lengths[expected]


def _branch(name: str, dataset: Any, entries: int) -> Branch:
    """A dataset as a branch; (N, 1) is one number an event."""
    dtype, shape = dataset.dtype, tuple(int(n) for n in dataset.shape[1:])
    typename = f"{dtype}{list(shape) if shape else ''}"
    if len(dataset) != entries:
        return Branch(name, typename, None, shape, f"it has {len(dataset)} entries of {entries}")
    if shape == (1,):
        shape = ()
    if image_name(name) or len(shape) >= 2:
        return Branch(name, typename, None, shape, "is an image")
    return _number(name, typename, dtype, shape)


def read_hdf5(
    file: FileScan, branches: Sequence[str], size: int, images: Sequence[str] = ()
) -> Iterator[RawBlock]:
    """Read branches, and whole images among the ``views`` of each block, in their own type.

    Args:
        file: a file of the pre-scan.
        branches: names of branches that can become columns.
        size: largest number of entries a block.
        images: names of datasets of images.

    Raises:
        ReadError: a dataset cannot be read; names file, dataset and entries.
    """
    with open_datasets(file.path) as datasets:
        for start in range(0, file.entries, size):
            stop = min(start + size, file.entries)
            columns = {name: _column(file, datasets, name, slice(start, stop)) for name in branches}
            views = {name: _read(file, datasets, name, slice(start, stop)) for name in images}
            yield RawBlock(start, columns, views)


def _column(file: FileScan, datasets: dict[str, Any], name: str, rows: slice) -> NDArray[Any]:
    branch = file.branches[name]
    if name not in datasets and name in IDENTITY:
        ids = _read(file, datasets, _EVENTIDS, rows).reshape(-1).astype(np.uint64)
        divisor, base = IDENTITY[name]
        part = ids // np.uint64(divisor)
        return (part if base is None else part % np.uint64(base)).astype(np.int64)
    values = _read(file, datasets, name, rows)
    return values.reshape(len(values), *branch.shape).astype(branch.dtype, copy=False)


def _read(file: FileScan, datasets: dict[str, Any], name: str, rows: slice) -> NDArray[Any]:
    where = f"{file.path}:{name}"
    with reading(where, f"entries {rows.start}-{rows.stop - 1} cannot be read"):
        values = np.asarray(datasets[name][rows])
    if len(values) != rows.stop - rows.start:
        raise ReadError(f"has {len(datasets[name])} of {file.entries} entries", where=where)
    return values


OTHER_READERS: dict[str, BlockReader] = {
    "HDF5": read_hdf5,
    "HDF5 table": _read_table,
    "Parquet": _read_parquet,
}
