"""Units of work: ranges of entries that threads read side by side, and who cuts files into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np

from ...errors import ConfigError
from ..prescan import FileScan
from ..root.baskets import uproot_is_known
from ..root.decoding import Source
from .blocks import BlockReader, RawBlock, read_blocks
from .buffers import Empty

Reader = Literal["auto", "fast", "uproot"]


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


def choose_reader(reader: Reader | BlockReader) -> tuple[BlockReader, UnitReader]:
    """Who reads: block by block, for what is looked at first, and unit by unit.

    Args:
        reader: "uproot" reads with uproot alone; "fast" decodes the baskets of local TTrees and
            the pages of RNTuples itself and refuses files that it cannot; "auto" leaves those to
            uproot. Or any reader of blocks.
    """
    if reader == "uproot":
        reader = read_blocks
    if callable(reader):
        return reader, partial(by_blocks, reader)
    cut = partial(_fast, must=reader == "fast")

    def read(file: FileScan, branches: Sequence[str], size: int) -> Iterator[RawBlock]:
        for unit in cut(file, branches, size):
            yield unit.read(np.empty)

    return read, cut


def _fast(file: FileScan, branches: Sequence[str], size: int, *, must: bool) -> Iterator[Unit]:
    """By :class:`.Source` where it can, by uproot elsewhere."""
    possible = file.kind in ("TTree", "RNTuple") and "://" not in file.path and uproot_is_known()
    if must and not possible:
        raise ConfigError(
            "--reader fast reads trees in local files, with a version of uproot that it knows",
            where=f"{file.path}:{file.tree}",
            mend="use --reader auto",
        )
    source = Source(file, branches, size) if possible and file.entries else None
    if source is None or not source.fast:
        yield from by_blocks(read_blocks, file, branches, size)
        return
    for start, stop in source.ranges:
        yield Unit(start, stop, partial(source.read, start, stop))


def by_blocks(
    read: BlockReader, file: FileScan, branches: Sequence[str], size: int
) -> Iterator[Unit]:
    """Read where the units are drawn, one after the other."""
    for block in read(file, branches, size):
        yield Unit(block.start, block.start + len(block), partial(_same, block))


def _same(block: RawBlock, _: Empty) -> RawBlock:
    return block
