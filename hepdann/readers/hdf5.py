"""HDF5 files as the other readers see a tree.

They hold tables, which are datasets with named columns, or the collaboration's images, flat and
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

from ..display import command_line
from ..errors import ReadError
from ..inputs import Stamp, file_stamp, first_bytes
from ..tensors.hdf5.chunks import h5_open, refuse_elsewhere
from ..tensors.layout import FORMAT
from .pipeline.blocks import RawBlock
from .prescan import Branch, FileScan, choose_tree, number_branch
from .root.opening import reading

SIGNATURE = b"\x89HDF\r\n\x1a\n"
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


def scan_hdf5(path: str, tree: str | None, prefer: str | None) -> FileScan:
    """What is in a local file of tables or images; no event is read.

    Args:
        path: the file.
        tree: a table of the file; images have none.
        prefer: likewise, if the file has it.

    Raises:
        ReadError: it cannot be read, or has no such table.
    """
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
    return first_bytes(path, len(SIGNATURE)) == SIGNATURE


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
                    "is a tensor file already",
                    where=path,
                    mend=f"{command_line('train', path)} reads it",
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
        branches[column] = number_branch(column, str(full), base, tuple(shape))
    return FileScan(path, name, "HDF5 table", entries[name], branches, entries, stamp)


def read_hdf5_table(file: FileScan, branches: Sequence[str], size: int) -> Iterator[RawBlock]:
    """Read columns of the table that was scanned, ``size`` entries a block."""
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
    return number_branch(name, typename, dtype, shape)


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
