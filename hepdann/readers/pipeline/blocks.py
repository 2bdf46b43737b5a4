"""Blocks of raw columns out of one file: the one place that decodes events.

A faster reader takes the place of :func:`read_blocks` by keeping its signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ...errors import HepdannError, ReadError
from ..prescan import Branch, FileScan
from ..root.baskets import list_baskets, titles
from ..root.opening import open_root, reading
from ..root.pages import check_page_lists, check_pages

_ALIGNMENT = 64


class Empty(Protocol):
    """What gives an array that is not filled: ``numpy.empty`` or a :class:`Scratch`."""

    def __call__(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """An array of this shape and type."""


class Scratch:
    """Hands out arrays side by side in one piece of memory, until they are all given back.

    It grows to the largest need that it has seen, and never shrinks.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)
        self._used = 0

    def __call__(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """An array that is valid until :meth:`clear`."""
        size = prod(shape) * np.dtype(dtype).itemsize
        start = self._used
        self._used += -(-size // _ALIGNMENT) * _ALIGNMENT
        if self._used > len(self._memory):
            return np.empty(shape, dtype)
        return self._memory[start : start + size].view(dtype).reshape(shape)

    def clear(self) -> None:
        """Take all arrays back; who still holds one will see it overwritten."""
        if self._used > len(self._memory):
            self._memory = np.empty(self._used, np.uint8)
        self._used = 0


@dataclass(frozen=True, eq=False)
class RawBlock:
    """Consecutive entries of one tree.

    Attributes:
        start: the first entry.
        columns: by branch, (n,) or (n, *shape) in the branch's own type and in either byte order:
            what copies or computes makes it native on the way. Lists whose length varies are
            arrays of awkward, which are cut and masked likewise.
        views: images of the entries, by view; empty where there are none.
        faults: what was left out of the images, by reason.
    """

    start: int
    columns: dict[str, Any]
    views: dict[str, NDArray[Any]] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


class BlockReader(Protocol):
    """What turns a file into blocks."""

    def __call__(self, file: FileScan, branches: Sequence[str], size: int) -> Iterator[RawBlock]:
        """Yield the entries in order, at most ``size`` a block, every branch in each block."""


def read_blocks(file: FileScan, branches: Sequence[str], size: int) -> Iterator[RawBlock]:
    """Read with uproot; memory holds one block (of an RNTuple: one cluster, if that is larger).

    Args:
        file: a file of the pre-scan.
        branches: names of branches that can become columns.
        size: largest number of entries a block.

    Raises:
        ReadError: a branch cannot be read; names file, branch and entry range.
    """
    if file.entries == 0:
        return
    with open_root(file.path) as directory:
        with reading(f"{file.path}:{file.tree}", "the tree cannot be read"):
            tree = directory[file.tree]
        parts = _ttree if file.kind == "TTree" else _rntuple
        done = 0
        for start, columns in parts(tree, file, list(branches), size):
            length = len(next(iter(columns.values())))
            _check(file, branches, columns, start, length)
            for at in range(0, length, size):
                part = {name: values[at : at + size] for name, values in columns.items()}
                yield RawBlock(start + at, part)
            done += length
    if done != file.entries:
        raise ReadError(
            f"{done} of {file.entries} entries could be read", where=f"{file.path}:{file.tree}"
        )


_Parts = Iterator[tuple[int, dict[str, Any]]]


def _ttree(tree: Any, file: FileScan, names: list[str], size: int) -> _Parts:
    # iterate keeps the baskets that reach over the end of a step, arrays() would read them twice
    chosen = {tree[name].cache_key for name in names}
    lists = any(file.branches[name].element is not None for name in names)
    steps = tree.iterate(
        filter_branch=lambda branch: branch.cache_key in chosen,
        step_size=size,
        how=dict,
        library="ak" if lists else "np",  # NumPy would have an object for each list
    )
    check = checked_baskets(tree, file, names)
    start = 0
    while True:
        stop = min(start + size, file.entries)
        check(start, stop)
        try:
            columns = next(steps, None)
        except HepdannError:
            raise
        except Exception as error:
            raise _blame(tree, file, names, start, stop, error) from error
        if columns is None:
            return
        yield start, {name: to_column(file.branches[name], columns[name]) for name in names}
        start = stop


def checked_baskets(tree: Any, file: FileScan, names: Sequence[str]) -> Callable[[int, int], None]:
    """What looks at the baskets of some entries of a TTree before uproot reads them.

    uproot waits for ever where two baskets are in one place, and does not look whose they are.

    Returns:
        Takes the first entry and the one after the last; raises as this function.

    Raises:
        ReadError: a basket of a local file is not what the tree says; names the branch.
    """
    where, others, listed = f"{file.path}:{file.tree}", titles(tree), []
    for name in names:
        with reading(f"{where}/{name}", "its baskets cannot be listed"):
            listed.append(list_baskets(tree[name], name, others))

    def check(start: int, stop: int) -> None:
        for places in listed if "://" not in file.path else ():  # each would be a round trip
            with reading(f"{where}/{places.name}", f"entries {start}-{stop - 1} cannot be read"):
                places.check(tree.file.source, start, stop)

    return check


def _rntuple(ntuple: Any, file: FileScan, names: list[str], size: int) -> _Parts:
    """By cluster, small ones together: any other cut through the entries reads clusters twice."""
    for start, stop in cluster_ranges(ntuple, file, size):
        try:
            check_pages(ntuple, names, start, stop)
            # each alone: to find them together takes uproot five seconds among 1,500 fields
            arrays = {n: ntuple[n].array(entry_start=start, entry_stop=stop) for n in names}
            columns = {n: to_column(file.branches[n], a) for n, a in arrays.items()}
        except HepdannError:
            raise
        except Exception as error:
            raise _blame(ntuple, file, names, start, stop, error) from error
        yield start, columns


def cluster_ranges(ntuple: Any, file: FileScan, size: int) -> Iterator[tuple[int, int]]:
    """Entry ranges of whole clusters, small ones together up to ``size`` entries.

    Raises:
        ReadError: the clusters cannot be listed.
    """
    with reading(f"{file.path}:{file.tree}", "the clusters cannot be listed"):
        check_page_lists(ntuple)
        ends = [int(c.num_first_entry) + int(c.num_entries) for c in ntuple.cluster_summaries]
    start = previous = 0
    for end in sorted(ends):
        if end - start > size and previous > start:
            yield start, previous
            start = previous
        previous = end
    if previous > start:
        yield start, previous


def _blame(
    tree: Any, file: FileScan, names: list[str], start: int, stop: int, error: Exception
) -> ReadError:
    """The error of the first branch that cannot be read alone, or of all together."""
    place, failed = file.tree, error
    for name in names:
        try:
            _alone(tree, file, name, start, stop)
        except Exception as single:
            place, failed = f"{file.tree}/{name}", single
            break
    try:
        with reading(f"{file.path}:{place}", f"entries {start}-{stop - 1} cannot be read"):
            raise failed
    except ReadError as refused:
        return refused


def _alone(tree: Any, file: FileScan, name: str, start: int, stop: int) -> None:
    if file.kind == "TTree":
        tree[name].array(entry_start=start, entry_stop=stop, library="np")
    else:
        check_pages(tree, [name], start, stop)
        tree[name].array(entry_start=start, entry_stop=stop)


def _check(
    file: FileScan,
    branches: Sequence[str],
    columns: dict[str, Any],
    start: int,
    length: int,
) -> None:
    """What was read must be what the pre-scan saw: nothing dropped, nothing promoted."""
    for name in branches:
        expected = file.branches[name]
        values = columns.get(name)
        if values is None:
            problem = "was not read"
        elif len(values) != length:
            problem = f"has {len(values)} entries where others have {length}"
        elif not (problem := misread(expected, values)):
            continue
        raise ReadError(
            f"{problem} in entries {start}-{start + length - 1}",
            where=f"{file.path}:{file.tree}/{name}",
        )


def to_column(branch: Branch, values: Any) -> Any:
    """What uproot read of a branch, as :class:`RawBlock` has it."""
    if branch.element is not None or isinstance(values, np.ndarray):
        return values
    import awkward

    return awkward.to_numpy(values, allow_missing=False)


def misread(branch: Branch, values: Any) -> str:
    """How what was read differs in type or shape from what the pre-scan saw; empty if not."""
    expected = branch.dtype
    if branch.element is not None:
        import awkward

        expected, values = branch.element, awkward.to_numpy(awkward.flatten(values))
    if values.dtype == expected and values.shape[1:] == branch.shape:
        return ""
    return f"was read as {values.dtype}{list(values.shape[1:]) or ''}"
