"""Baskets of a TTree: where they are, and how the bytes of one become numbers.

The only module that knows how ROOT stores a branch. uproot reads the tree's metadata; of its
objects this uses ``entry_offsets``, ``embedded_baskets``, ``interpretation`` and the members
``fBasketSeek`` and ``fBasketBytes``, whose meaning is fixed by ROOT's file format. What ROOT
compresses it cuts into blocks of less than 16 MiB: 9 bytes of header, then one stream of one codec.
All decoders here release the GIL, so that threads decompress side by side.
"""

from __future__ import annotations

import lzma
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import cramjam
import numpy as np
import xxhash
from isal import isal_zlib
from numpy.typing import NDArray

_HEADER = 9
_CHECKSUM = 8
_KNOWN = ((5, 7), (5, 8))  # uproot versions of which the above has been tested, from and below
_KEY = struct.Struct(">ihiIhh")  # TKey: nbytes, version, objlen, datime, keylen, cycle
_BASKET = struct.Struct(">Hiiii")  # TBasket: version, buffer size, entry size, entries, last byte
_FLAG = 1  # one more byte ends the header
_WIDE_KEY = 1000  # from keys of a version above this one on, positions have 8 bytes
_WIDE, _NARROW = struct.Struct(">qq"), struct.Struct(">ii")  # of the key, of its directory
_LONG = 255  # a length of a string that does not fit into one byte
_HEAD = 1024  # bytes that a key does not reach beyond
_SHRINKS, _LITTLE, LARGEST = 1032, 1 << 26, 1 << 30  # what a basket may be unpacked to
_OBJECT = 20  # a branch takes as much memory as so many baskets


def _zlib(data: memoryview, size: int) -> Any:
    return isal_zlib.decompress(data, bufsize=size)  # 1.6 times the speed of zlib


def _lz4(data: memoryview, size: int) -> Any:
    # xxh64 of the compressed bytes goes before them; lz4 itself notices hardly any damage
    expected, data = int.from_bytes(data[:_CHECKSUM], "big"), data[_CHECKSUM:]
    if xxhash.xxh64_intdigest(data) != expected:
        raise ValueError("the checksum of an lz4 block is wrong")
    out = np.empty(size, np.uint8)  # cramjam would fill its own with zeros first
    return out[: cramjam.lz4.decompress_block_into(data, out.data, output_len=size)]


def _zstd(data: memoryview, size: int) -> Any:
    out = np.empty(size, np.uint8)
    return out[: cramjam.zstd.decompress_into(data, out.data)]


def _lzma(data: memoryview, size: int) -> Any:
    return lzma.LZMADecompressor().decompress(data, size)


_DECODERS: dict[bytes, Callable[[memoryview, int], Any]] = {
    b"ZL": _zlib,
    b"L4": _lz4,
    b"ZS": _zstd,
    b"XZ": _lzma,
}


def decompress(data: memoryview, size: int) -> NDArray[np.uint8]:
    """Decompress consecutive blocks.

    Args:
        data: the blocks with their headers, nothing else.
        size: bytes in all when decompressed.

    Returns:
        (size,) bytes.

    Raises:
        ValueError: an unknown codec, sizes that do not add up, or a wrong checksum.
        Exception: whatever a decoder says about a damaged stream.
    """
    parts: list[NDArray[np.uint8]] = []
    missing = size
    while len(data):
        if len(data) < _HEADER:
            raise ValueError("a compressed block is cut off")
        codec = bytes(data[:2])
        packed = int.from_bytes(data[3:6], "little")
        unpacked = int.from_bytes(data[6:9], "little")
        if codec not in _DECODERS:
            raise ValueError(f"{codec!r} is no codec of ROOT")
        if packed > len(data) - _HEADER or unpacked > missing:
            raise ValueError("the sizes of a compressed block do not fit its basket")
        block = _DECODERS[codec](data[_HEADER : _HEADER + packed], unpacked)
        part = np.frombuffer(block, np.uint8)
        if len(part) != unpacked:
            raise ValueError(f"a block has {len(part)} bytes, its header says {unpacked}")
        parts.append(part)
        missing -= unpacked
        data = data[_HEADER + packed :]
    if missing:
        raise ValueError(f"{missing} of {size} bytes are missing")
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def uproot_is_known() -> bool:
    """Whether the installed uproot is one that :func:`locate` has been tested with."""
    import uproot

    version = tuple(int(part) for part in uproot.__version__.split(".")[:2])
    return _KNOWN[0] <= version < _KNOWN[1]


@dataclass(frozen=True, eq=False)
class BasketPlaces:
    """Where the baskets of one branch are; not yet what they hold.

    Attributes:
        name: of the branch, as the pre-scan has it.
        edges: n + 1 of them; basket i holds the entries from ``edges[i]`` to before
            ``edges[i + 1]``.
        seeks: position of each in the file.
        sizes: bytes of each in the file, key included.
        title: of the branch, as its baskets have it.
        others: likewise of all branches of the tree.
    """

    name: str
    edges: NDArray[np.int64]
    seeks: NDArray[np.int64]
    sizes: NDArray[np.int64]
    title: str
    others: frozenset[str]

    def overlapping(self, start: int, stop: int) -> range:
        """Numbers of the baskets that hold entries from ``start`` to before ``stop``."""
        first = int(self.edges.searchsorted(start, side="right")) - 1
        return range(first, int(self.edges.searchsorted(stop)))

    def key(self, raw: memoryview, number: int) -> tuple[int, int]:
        """Compare the key in front of a basket with what the tree says of the basket.

        A branch that was renamed has baskets of its old name; of another branch they are not.

        Args:
            raw: the basket, or its first bytes.
            number: of the basket.

        Returns:
            The length of the key, and that of what follows it, unpacked.

        Raises:
            ValueError: they differ, or the basket claims to be larger than it can be.
        """
        size, seek = int(self.sizes[number]), int(self.seeks[number])
        packed, version, unpacked, _, length, _ = _KEY.unpack_from(raw)
        position = _WIDE if version > _WIDE_KEY else _NARROW
        at_seek, _ = position.unpack_from(raw, _KEY.size)
        kind, at = _text(raw, _KEY.size + position.size)
        title, at = _text(raw, at)
        same = title == self.title or title not in self.others
        if (
            (packed, at_seek, kind) != (size, seek, "TBasket")
            or not same
            or not at < length <= size
        ):
            raise ValueError(f"basket {number} is not where the tree says")
        if not 0 <= unpacked <= most_bytes(size):
            raise ValueError(f"basket {number} claims to unpack {size} bytes to {unpacked}")
        return length, unpacked

    def check(self, source: Any, start: int, stop: int) -> None:
        """Compare the keys of all baskets that hold some entries, before uproot reads them.

        Args:
            source: uproot's, of the file.
            start: first entry.
            stop: the entry after the last.

        Raises:
            ValueError: one is not what the tree says.
        """
        for number in self.overlapping(start, stop):
            if number < len(self.seeks):  # those in the record of the tree come behind
                seek, size = int(self.seeks[number]), int(self.sizes[number])
                raw = source.chunk(seek, seek + min(size, _HEAD)).raw_data
                self.key(memoryview(bytes(raw)), number)


@dataclass(frozen=True, eq=False)
class Baskets(BasketPlaces):
    """The baskets of one branch of fixed-size numbers.

    Attributes:
        stored: type in the file, big-endian.
        shape: of one entry.
    """

    stored: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def entry_bytes(self) -> int:
        """Size of one entry."""
        return self.stored.itemsize * prod(self.shape)

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
        key, unpacked = self.key(raw, number)
        entries = int(self.edges[number + 1] - self.edges[number])
        *_, held, last = _BASKET.unpack_from(raw, key - _BASKET.size - _FLAG)
        length = entries * self.entry_bytes
        if held != entries or last - key != length or not 0 <= unpacked - length <= _offsets(held):
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


def most_bytes(packed: int, most: int = LARGEST) -> int:
    """What so many bytes of a file can be unpacked to: zlib's limit, and more of little."""
    return min(most, max(_LITTLE, _SHRINKS * packed))


def _offsets(entries: int) -> int:
    """Most bytes that follow the numbers of a basket: where each entry begins."""
    return 8 * entries + 64


def _text(raw: memoryview, at: int) -> tuple[str, int]:
    """A string of ROOT, and where it ends."""
    length, at = raw[at], at + 1
    if length == _LONG:
        length, at = int.from_bytes(raw[at : at + 4], "big"), at + 4
    return bytes(raw[at : at + length]).decode(errors="surrogateescape"), at + length


def titles(tree: Any) -> frozenset[str]:
    """The names that the branches of a tree have in their baskets.

    Args:
        tree: uproot's ``TTree``.
    """
    return frozenset(branch.name for branch in tree.itervalues(recursive=True))


def list_baskets(branch: Any, name: str, others: frozenset[str]) -> BasketPlaces:
    """List the baskets of a branch.

    Args:
        branch: uproot's ``TBranch``.
        name: what to call it.
        others: see :func:`titles`.

    Raises:
        ValueError: they contradict each other, lie outside of the file, or in one place.
    """
    edges = np.array(branch.entry_offsets, np.int64)
    count = len(edges) - 1 - len(branch.embedded_baskets)
    seeks, sizes = (
        np.array(branch.member(member)[:count], np.int64)
        for member in ("fBasketSeek", "fBasketBytes")
    )
    if len(seeks) != count or len(sizes) != count or edges[0] != 0 or (np.diff(edges) < 0).any():
        raise ValueError("its list of baskets is damaged")
    end = branch.file.source.num_bytes
    if count and (seeks.min() < 0 or sizes.min() <= 0 or (seeks > end - sizes).any()):
        raise ValueError("a basket lies outside of the file")
    if len(set(seeks.tolist())) < count:
        raise ValueError("two baskets are in one place")
    return BasketPlaces(name, edges, seeks, sizes, str(branch.name), others)


def locate(branch: Any, name: str, entries: int, others: frozenset[str]) -> Baskets | None:
    """Find the baskets of a branch.

    Args:
        branch: uproot's ``TBranch``.
        name: what to call it.
        entries: number of entries of the tree.
        others: see :func:`titles`.

    Returns:
        ``None`` where uproot has to read: unusual types, baskets inside the tree's own record
        (which a process that was cut off leaves behind), or fewer entries than the tree.

    Raises:
        ValueError: as :func:`list_baskets`; or a basket cannot hold what it claims.
    """
    import uproot

    interpretation = branch.interpretation
    if type(interpretation) is not uproot.AsDtype or len(branch.embedded_baskets):
        return None
    full = np.dtype(interpretation.from_dtype)
    stored, shape = full.subdtype or (full, ())
    wanted = np.dtype(interpretation.to_dtype)
    if stored.kind not in "biuf" or (wanted.subdtype or (wanted, ()))[0] != stored.newbyteorder():
        return None
    places = list_baskets(branch, name, others)
    if places.edges[-1] != entries or (np.diff(places.edges) <= 0).any():
        return None
    baskets = Baskets(**vars(places), stored=stored, shape=tuple(shape))
    for held, size in zip(np.diff(baskets.edges).tolist(), baskets.sizes.tolist(), strict=True):
        if held * baskets.entry_bytes > most_bytes(size):
            raise ValueError(f"{size} bytes cannot hold {held} entries")
    return baskets


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
            others = titles(tree)
            located = ((name, locate(tree[name], name, tree.num_entries, others)) for name in names)
            known = {name: baskets for name, baskets in located if baskets is not None}
        except Exception:  # a branch that nobody may need; who does will be told
            return None
        self._left -= sum(_OBJECT + len(baskets.seeks) for baskets in known.values())
        return known
