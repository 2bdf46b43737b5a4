"""Baskets of a TTree: where they are, and how the bytes of one become numbers.

The only module that knows how ROOT stores a branch. uproot reads the tree's metadata; of its
objects this uses ``entry_offsets``, ``embedded_baskets``, ``interpretation`` and the members
``fBasketSeek`` and ``fBasketBytes``, whose meaning is fixed by ROOT's file format.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .codecs import decompress

__all__ = ["Baskets", "Locations", "locate", "uproot_is_known"]

_KNOWN = ((5, 7), (5, 8))  # uproot versions of which the above has been tested, from and below
_KEY = struct.Struct(">ihiIhh")  # TKey: nbytes, version, objlen, datime, keylen, cycle
_BASKET = struct.Struct(">Hiiii")  # TBasket: version, buffer size, entry size, entries, last byte
_FLAG = 1  # one more byte ends the header
_OBJECT = 20  # a branch takes as much memory as so many baskets


def uproot_is_known() -> bool:
    """Whether the installed uproot is one that :func:`locate` has been tested with."""
    import uproot

    version = tuple(int(part) for part in uproot.__version__.split(".")[:2])
    return _KNOWN[0] <= version < _KNOWN[1]


@dataclass(frozen=True, eq=False)
class Baskets:
    """The baskets of one branch of fixed-size numbers.

    Attributes:
        name: of the branch.
        edges: n + 1 of them; basket i holds the entries from ``edges[i]`` to before
            ``edges[i + 1]``.
        seeks: position of each in the file.
        sizes: bytes of each in the file, key included.
        stored: type in the file, big-endian.
        shape: of one entry.
    """

    name: str
    edges: NDArray[np.int64]
    seeks: NDArray[np.int64]
    sizes: NDArray[np.int64]
    stored: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def entry_bytes(self) -> int:
        """Size of one entry."""
        return self.stored.itemsize * prod(self.shape)

    def overlapping(self, start: int, stop: int) -> range:
        """Numbers of the baskets that hold entries from ``start`` to before ``stop``."""
        first = int(np.searchsorted(self.edges, start, side="right")) - 1
        return range(first, int(np.searchsorted(self.edges, stop)))

    def decode(self, descriptor: int, number: int) -> NDArray[Any]:
        """Read and decompress one basket; any thread may, because nothing is shared.

        Args:
            descriptor: of the open file.
            number: of the basket.

        Returns:
            (entries, *shape) in the type of the file.

        Raises:
            ValueError: the basket is not what the tree says.
            Exception: whatever a decoder says about damaged data.
        """
        size = int(self.sizes[number])
        raw = memoryview(os.pread(descriptor, size, int(self.seeks[number])))
        if len(raw) < size:
            raise ValueError(f"the file ends in basket {number}")
        packed, _, unpacked, _, key, _ = _KEY.unpack_from(raw)
        entries = int(self.edges[number + 1] - self.edges[number])
        header = key - _BASKET.size - _FLAG
        if packed != size or header < _KEY.size or key > size:
            raise ValueError(f"basket {number} is not where the tree says")
        *_, held, last = _BASKET.unpack_from(raw, header)
        length = entries * self.entry_bytes
        if held != entries or last - key != length or unpacked < length:
            raise ValueError(
                f"basket {number} has {held} entries in {last - key} bytes, expected {entries} "
                f"in {length}"
            )
        body = raw[key:]
        if len(body) == unpacked:  # what would not shrink is stored as it is
            content = np.frombuffer(body, np.uint8)
        else:
            content = decompress(body, unpacked)
        return content[:length].view(self.stored).reshape(entries, *self.shape)


def locate(branch: Any, name: str, entries: int) -> Baskets | None:
    """Find the baskets of a branch.

    Args:
        branch: uproot's ``TBranch``.
        name: what to call it.
        entries: number of entries of the tree.

    Returns:
        ``None`` where uproot has to read: unusual types, baskets inside the tree's own record
        (which a process that was cut off leaves behind), or fewer entries than the tree.
    """
    import uproot

    interpretation = branch.interpretation
    if type(interpretation) is not uproot.AsDtype or len(branch.embedded_baskets):
        return None
    full = np.dtype(interpretation.from_dtype)
    stored, shape = full.subdtype or (full, ())
    edges = np.array(branch.entry_offsets, np.int64)
    wanted = np.dtype(interpretation.to_dtype)
    if stored.kind not in "biuf" or (wanted.subdtype or (wanted, ()))[0] != stored.newbyteorder():
        return None
    if edges[0] != 0 or edges[-1] != entries or (np.diff(edges) <= 0).any():
        return None
    count = len(edges) - 1
    seeks, sizes = (
        np.array(branch.member(member)[:count], np.int64)
        for member in ("fBasketSeek", "fBasketBytes")
    )
    if len(seeks) != count or len(sizes) != count:
        return None
    return Baskets(name, edges, seeks, sizes, stored, tuple(shape))


class Locations:
    """Where the baskets of many files lie, looked up while their trees are open anyway.

    For uproot to open a tree of 1,500 branches takes as long as to read ten of them. What is kept
    is bounded: the trees of further files are opened again.

    Args:
        most: baskets kept in all; 24 bytes each.
    """

    def __init__(self, most: int = 1 << 20) -> None:
        self._left = most

    def of(self, tree: Any, names: Iterable[str]) -> Mapping[str, Baskets] | None:
        """What :func:`locate` finds, by name; ``None`` where no more is kept, or uproot fails.

        Args:
            tree: uproot's ``TTree``.
            names: of its branches.
        """
        if self._left <= 0 or not uproot_is_known():
            return None
        try:
            looked = ((name, locate(tree[name], name, tree.num_entries)) for name in names)
            found = {name: baskets for name, baskets in looked if baskets is not None}
        except Exception:  # a branch that nobody may need; who does will be told
            return None
        self._left -= sum(_OBJECT + len(baskets.seeks) for baskets in found.values())
        return found
