"""Ranges of entries of a tree, decoded from its baskets or pages by any number of threads at once.

A file is cut into ranges that end where many branches start a new basket, so that few baskets are
needed twice. What :meth:`RangeReader.read` gives for a range, in any thread and in any order, is
what uproot reads, bit for bit. Branches that :func:`.locate` does not take are read by uproot, into
the same block.

The fast path from end to end: :func:`unit_reader` chooses it and hands out the ranges,
:mod:`.job_stream` runs them on threads and returns them in order, :class:`RangeReader` reads one of
them, :mod:`.baskets` finds and decompresses what it needs. Big-endian parts of baskets go as they
are to :mod:`.events`, which swaps, counts and transposes them tile by tile; :mod:`.range_task` is
the sequence of these steps. The caller's thread hashes the rows and writes them by position.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...inputs import file_stamp
from ..formats import READERS
from ..hdf5 import read_hdf5
from ..planning.images import find_pixels, hit_branches
from ..planning.plan import ImagePlan
from ..prescan import FileScan
from ..root.baskets import Baskets, list_baskets, locate, titles, uproot_is_known
from ..root.opening import open_root, reading
from ..root.pages import Pages, check_pages, locate_pages
from .blocks import BlockReader, Empty, RawBlock, misread, read_blocks, to_column
from .hits import images_of_hits, images_of_pixels, read_hits

IMAGES = 256  # entries whose images are made at a time: 13 MB a channel of the smaller size
_RANGE_BYTES = 16 << 20  # decoded; some ranges are in flight at once, and they bound the memory
Reader = Literal["auto", "fast", "uproot"]


class _Shared:
    """A basket that several ranges need: decoded by the first, dropped by the last."""

    def __init__(self, uses: int) -> None:
        self._lock = threading.Lock()
        self._uses = uses
        self._values: NDArray[Any] | None = None

    def get(self, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        with self._lock:
            values = decode() if self._values is None else self._values
            self._uses -= 1
            self._values = values if self._uses else None
        return values


class RangeReader:
    """The baskets or pages of one file and the ranges that they are read in.

    The file is opened for each range: nothing stays open that would have to be closed when a
    conversion ends early, and thousands of files do not use up the descriptors.

    Args:
        file: a TTree or RNTuple in a local file.
        branches: names of branches that can become columns.
        size: largest number of entries a range.

    Attributes:
        ranges: (start, stop) of each.
        fast: whether any branch is decoded here.

    Raises:
        ReadError: the tree cannot be read.
    """

    def __init__(self, file: FileScan, branches: Sequence[str], size: int) -> None:
        self._file, self._names = file, tuple(branches)
        located = _locate(file, branches) if file.baskets is None else file.baskets
        self._baskets = {
            name: located[name]
            for name in branches
            if name in located and _fits(located[name], file)
        }
        self._rest = [name for name in branches if name not in self._baskets]
        self.fast = bool(self._baskets)
        self.ranges = list(pairwise(self._cut(size)))
        self._direction = {start: 1 - 2 * (i % 2) for i, (start, _) in enumerate(self.ranges)}
        self._shared = self._find_shared()

    def _cut(self, size: int) -> list[int]:
        """Ends of the ranges, where as many branches as possible start a new basket."""
        entry = sum(_entry_bytes(self._file, name) for name in self._names)
        size = max(1, min(size, _RANGE_BYTES // entry))
        edges, count = np.unique(
            np.concatenate(
                [[0, self._file.entries], *(baskets.edges for baskets in self._baskets.values())]
            ),
            return_counts=True,
        )
        bounds, entries = [0], self._file.entries
        while entries - bounds[-1] > size:
            # the second half of what may come: no range is tiny
            low, high = bounds[-1] + (size + 1) // 2, bounds[-1] + size
            first, last = np.searchsorted(edges, low), np.searchsorted(edges, high, side="right")
            near = edges[first:last]
            if len(near):
                high = int(near[::-1][np.argmax(count[first:last][::-1])])
            else:  # baskets longer than a range: equal parts of them
                left = int(edges[last]) - bounds[-1]
                high = bounds[-1] + -(-left // -(-left // size))
            bounds.append(high)
        return [*bounds, entries] if entries else bounds

    def _find_shared(self) -> dict[tuple[str, int], _Shared]:
        uses: dict[tuple[str, int], int] = {}
        for name, baskets in self._baskets.items():
            for start, stop in self.ranges:
                touched = baskets.overlapping(start, stop)
                for number in {touched[0], touched[-1]}:  # those between belong to one range
                    uses[name, number] = uses.get((name, number), 0) + 1
        return {key: _Shared(count) for key, count in uses.items() if count > 1}

    def read(self, start: int, stop: int, empty: Empty) -> RawBlock:
        """One of the ranges; to be called once for each.

        Args:
            start: its first entry.
            stop: the entry after its last one.
            empty: where the columns go.

        Raises:
            ReadError: a branch cannot be read (names file, branch and entries), or the file was
                replaced since the pre-scan.
        """
        place, doing = f"{self._file.path}:{self._file.tree}", _cannot(start, stop)
        columns: dict[str, Any] = {}
        with reading(place, doing), open(self._file.path, "rb", buffering=0) as stream:  # noqa: PTH123
            if file_stamp(stream.fileno()) != self._file.stamp:
                self._file.check_unchanged()
            # neighbours share baskets: they start from opposite ends, so as not to wait in step
            order = list(self._baskets.items())[:: self._direction[start]]
            for name, baskets in order:
                with reading(f"{place}/{name}", doing):
                    columns[name] = self._column(stream.fileno(), baskets, start, stop, empty)
        if self._rest:
            columns |= self._by_uproot(start, stop)
        return RawBlock(start, {name: columns[name] for name in self._names})

    def _column(
        self, descriptor: int, baskets: Baskets | Pages, start: int, stop: int, empty: Empty
    ) -> NDArray[Any]:
        """One branch: a part of a basket as it is, or parts of several in one array."""
        parts = []
        for number in baskets.overlapping(start, stop):
            decode = partial(baskets.decode, descriptor, number)
            shared = self._shared.get((baskets.name, number))
            decoded = decode() if shared is None else shared.get(decode)
            first = baskets.edges[number]
            parts.append(decoded[max(start - first, 0) : stop - first])
        if len(parts) == 1:
            return parts[0]
        whole = empty((stop - start, *baskets.shape), baskets.stored.newbyteorder("="))
        return np.concatenate(parts, out=whole)

    def _by_uproot(self, start: int, stop: int) -> dict[str, Any]:
        place, columns = f"{self._file.path}:{self._file.tree}", {}
        with open_root(self._file.path) as directory:
            with reading(place, "the tree cannot be read"):
                tree = directory[self._file.tree]
            ntuple = self._file.kind == "RNTuple"
            others = frozenset[str]() if ntuple else titles(tree)
            for name in self._rest:
                with reading(f"{place}/{name}", _cannot(start, stop)):
                    branch, source = self._file.branches[name], directory.file.source
                    if ntuple:
                        check_pages(tree, [name], start, stop)
                    else:
                        list_baskets(tree[name], name, others).check(source, start, stop)
                    library = "np" if branch.element is None and not ntuple else "ak"
                    values = tree[name].array(entry_start=start, entry_stop=stop, library=library)
                    values = to_column(branch, values)
                    if problem := misread(branch, values):
                        raise ValueError(f"it {problem}")
                    if len(values) != stop - start:
                        raise ValueError(f"it has {len(values)} entries there")
                columns[name] = values
        return columns


def _locate(file: FileScan, branches: Sequence[str]) -> Mapping[str, Baskets | Pages]:
    """Look up what the pre-scan left out; by name, without those that uproot has to read."""
    place, columns = f"{file.path}:{file.tree}", {}
    with open_root(file.path) as directory:
        with reading(place, "the tree cannot be read"):
            tree = directory[file.tree]
        if file.kind == "RNTuple":
            with reading(place, "its pages cannot be listed"):
                return locate_pages(tree, branches)
        others = titles(tree)
        for name in branches:
            with reading(f"{place}/{name}", "its baskets cannot be listed"):
                baskets = locate(tree[name], name, file.entries, others)
            if baskets is not None:
                columns[name] = baskets
    return columns


def _cannot(start: int, stop: int) -> str:
    return f"entries {start}-{stop - 1} cannot be read"


def _fits(baskets: Baskets | Pages, file: FileScan) -> bool:
    branch = file.branches[baskets.name]
    return branch.dtype == baskets.stored.newbyteorder("=") and branch.shape == baskets.shape


def _entry_bytes(file: FileScan, name: str) -> int:
    branch = file.branches[name]
    dtype = branch.dtype if branch.element is None else branch.element
    assert dtype is not None  # only such branches are read
    return int(dtype.itemsize * branch.length * np.prod(branch.shape, dtype=np.int64))


@dataclass(frozen=True)
class Unit:
    """Entries from ``start`` to before ``stop``; ``read`` may be called in any thread, once."""

    start: int
    stop: int
    read: Callable[[Empty], RawBlock]


class UnitReader(Protocol):
    """What cuts a file into units."""

    def __call__(self, file: FileScan, branches: Sequence[str], size: int) -> Iterator[Unit]:
        """Yield units of at most ``size`` entries, in order, that hold each entry once."""


def choose_reader(reader: Reader | BlockReader) -> BlockReader:
    """Who reads block by block, what is looked at first; see :func:`unit_reader`."""
    units = unit_reader(reader)

    def read(file: FileScan, branches: Sequence[str], size: int) -> Iterator[RawBlock]:
        for unit in units(file, branches, size):
            yield unit.read(np.empty)

    return read


def unit_reader(reader: Reader | BlockReader, images: ImagePlan | None = None) -> UnitReader:
    """Who reads files of all kinds unit by unit.

    Args:
        reader: "uproot" reads trees with uproot alone; "fast" decodes the baskets of local TTrees
            and the pages of RNTuples itself and refuses files that it cannot; "auto" leaves those
            to uproot. Or any reader of blocks of trees.
        images: that are made, in the threads, of what is read where a unit is drawn.
    """
    if reader == "uproot":
        reader = read_blocks
    trees = partial(_by_blocks, reader) if callable(reader) else partial(_fast, reader == "fast")

    def units(file: FileScan, branches: Sequence[str], size: int) -> Iterator[Unit]:
        if images is not None:
            yield from _with_images(images, file, branches, min(size, IMAGES))
        elif file.kind in READERS:
            yield from _by_blocks(READERS[file.kind], file, branches, size)
        else:
            yield from trees(file, branches, size)

    return units


def _with_images(
    plan: ImagePlan, file: FileScan, branches: Sequence[str], size: int
) -> Iterator[Unit]:
    channels = plan.views[0].channel_names
    if file.kind == "HDF5":
        pixels = find_pixels(file, plan.settings)
        names = {pixels[view.name][channel].dataset for view in plan.views for channel in channels}
        for block in read_hdf5(file, branches, size, sorted(names)):
            yield _unit(block, partial(images_of_pixels, block, pixels, plan.views))
        return
    parts = hit_branches(file, plan.settings) or {}
    for block, hits in read_hits(file, branches, size, parts, channels):
        yield _unit(block, partial(images_of_hits, block, hits, plan.views))


def _fast(must: bool, file: FileScan, branches: Sequence[str], size: int) -> Iterator[Unit]:
    """By :class:`.RangeReader` where it can, by uproot elsewhere."""
    possible = file.kind in ("TTree", "RNTuple") and "://" not in file.path and uproot_is_known()
    if must and not possible:
        raise ConfigError(
            "--reader fast reads trees in local files, with a version of uproot that it knows",
            where=f"{file.path}:{file.tree}",
            mend="use --reader auto",
        )
    source = RangeReader(file, branches, size) if possible and file.entries else None
    if source is None or not source.fast:
        yield from _by_blocks(read_blocks, file, branches, size)
        return
    for start, stop in source.ranges:
        yield Unit(start, stop, partial(source.read, start, stop))


def _by_blocks(
    read: BlockReader, file: FileScan, branches: Sequence[str], size: int
) -> Iterator[Unit]:
    """Read where the units are drawn, one after the other."""
    for block in read(file, branches, size):
        yield _unit(block, partial(_same, block))


def _unit(block: RawBlock, read: Callable[[Empty], RawBlock]) -> Unit:
    return Unit(block.start, block.start + len(block), read)


def _same(block: RawBlock, _: Empty) -> RawBlock:
    return block
