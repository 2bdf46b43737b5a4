"""Baskets of a TTree: where they are, and how the bytes of one become numbers.

The only module that knows how ROOT stores a branch. uproot reads the tree's metadata; of its
objects this uses ``entry_offsets``, ``embedded_baskets``, ``interpretation`` and the members
``fBasketSeek`` and ``fBasketBytes``, whose meaning is fixed by ROOT's file format.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .codecs import decompress

__all__ = ["Baskets", "locate", "uproot_is_known"]

_KNOWN = ((5, 7), (5, 8))  # uproot versions of which the above has been tested, from and below
_KEY = struct.Struct(">ihiIhh")  # TKey: nbytes, version, objlen, datime, keylen, cycle
_BASKET = struct.Struct(">Hiiii")  # TBasket: version, buffer size, entry size, entries, last byte
_FLAG = 1  # one more byte ends the header


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
    edges: list[int]
    seeks: list[int]
    sizes: list[int]
    stored: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def entry_bytes(self) -> int:
        """Size of one entry."""
        return self.stored.itemsize * prod(self.shape)

    def overlapping(self, start: int, stop: int) -> range:
        """Numbers of the baskets that hold entries from ``start`` to before ``stop``."""
        return range(bisect_right(self.edges, start) - 1, bisect_left(self.edges, stop))

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
        size = self.sizes[number]
        raw = memoryview(os.pread(descriptor, size, self.seeks[number]))
        if len(raw) < size:
            raise ValueError(f"the file ends in basket {number}")
        packed, _, unpacked, _, key, _ = _KEY.unpack_from(raw)
        entries = self.edges[number + 1] - self.edges[number]
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
    edges = [int(edge) for edge in branch.entry_offsets]
    wanted = np.dtype(interpretation.to_dtype)
    if stored.kind not in "biuf" or (wanted.subdtype or (wanted, ()))[0] != stored.newbyteorder():
        return None
    if edges[0] != 0 or edges[-1] != entries or any(a >= b for a, b in pairwise(edges)):
        return None
    count = len(edges) - 1
    seeks, sizes = (
        [int(value) for value in branch.member(member)[:count]]
        for member in ("fBasketSeek", "fBasketBytes")
    )
    if len(seeks) != count or len(sizes) != count:
        return None
    return Baskets(name, edges, seeks, sizes, stored, tuple(shape))
