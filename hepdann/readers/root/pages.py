"""Pages of an RNTuple: where they are, what they claim, and how the bytes of one become numbers.

uproot reads header, footer and page lists. It compares the checksums of header and footer only, and
believes every size: pages and page lists are looked at here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from .baskets import LARGEST, decompress, most_bytes

_SHORTEST = 4  # bytes of an element in memory; in the file it may be a bit
_BYTES = 8  # an XXH3 of 64 bits, little-endian, behind what it is of
_BIT = 0x00
_PLAIN = {0x03: "i1", 0x04: "u1", 0x05: "<i2", 0x06: "<u2", 0x07: "<i4", 0x08: "<u4", 0x09: "<i8",
          0x0A: "<u8", 0x0C: "<f4", 0x0D: "<f8"}  # fmt: skip
_SPLIT = {0x12: "<u2", 0x14: "<u4", 0x16: "<u8", 0x18: "<f4", 0x19: "<f8"}  # bytes of one rank
_ZIGZAG = {0x11: "<i2", 0x13: "<i4", 0x15: "<i8"}  # split, with the sign in the lowest bit
_TYPES = {_BIT: "?", **_PLAIN, **_SPLIT, **_ZIGZAG}


def check_envelopes(ntuple: Any) -> None:
    """Compare the sizes of header and footer with what they can be unpacked to.

    Raises:
        ValueError: one claims more.
    """
    for name in ("Header", "Footer"):
        packed, unpacked = ntuple.member(f"fNBytes{name}"), ntuple.member(f"fLen{name}")
        _check_size(f"the {name.lower()}", packed, unpacked)


def check_page_lists(ntuple: Any) -> None:
    """Compare the page lists with their checksums.

    A damaged number of elements would make uproot fill the machine's memory.

    Raises:
        ValueError: a checksum is wrong, or one claims to be larger than it can be.
    """
    for record in ntuple.footer.cluster_group_records:
        link = record.page_list_link
        _check_size("a page list", link.locator.num_bytes, link.env_uncomp_size)
        chunk, _ = ntuple.read_locator(link.locator, link.env_uncomp_size)
        if not _whole(bytes(chunk.raw_data)):
            raise ValueError("the checksum of a page list is wrong")


def check_pages(ntuple: Any, names: Sequence[str], start: int, stop: int) -> None:
    """Compare the pages of some fields with their checksums and with what a file can hold.

    ROOT writes checksums unless told otherwise; uproot 5.7 writes none.

    Args:
        ntuple: of uproot.
        names: top-level fields.
        start: first entry.
        stop: the entry after the last.

    Raises:
        ValueError: a checksum is wrong, or pages claim to be larger than they can be; names the
            entries of the cluster.
    """
    columns = _columns(ntuple, names)
    for number, cluster in enumerate(ntuple.cluster_summaries):
        first = int(cluster.num_first_entry)
        last = first + int(cluster.num_entries)
        if last <= start or first >= stop:
            continue
        described = ntuple.page_link_list[number]
        pages = {column: described[column].pages for column in columns if column < len(described)}
        check_cluster_size(pages, ntuple.column_records, f"entries {first}-{last - 1}")
        for column in pages:
            for page in pages[column]:
                if page.has_checksum:
                    at, size = int(page.locator.offset), int(page.locator.num_bytes)
                    chunk = ntuple.file.source.chunk(at, at + size + _BYTES)
                    if not _whole(bytes(chunk.raw_data)):
                        raise ValueError(f"a checksum in entries {first}-{last - 1} is wrong")


def check_cluster_size(
    pages: Mapping[int, Sequence[Any]], columns: Sequence[Any], entries: str
) -> None:
    """Whether the pages of a cluster, and all of them together, can hold what they claim.

    Pages of equal content may be in one place of the file, and are read for each.

    Args:
        pages: uproot's descriptions of them, by number of the column.
        columns: uproot's descriptions of all columns.
        entries: what an error says of the cluster.

    Raises:
        ValueError: they cannot.
    """
    packed: dict[int, int] = {}
    total = 0
    for column, described in pages.items():
        bits = int(columns[column].nbits)
        for page in described:
            size, claimed = int(page.locator.num_bytes), int(page.num_elements) * bits // 8
            _check_size(f"a page in {entries}", size, claimed)
            packed[int(page.locator.offset)] = size
            total += int(page.num_elements) * max(bits // 8, _SHORTEST)
    if total > LARGEST:  # as much as one basket may take
        _check_size(f"all pages in {entries}", sum(packed.values()), total, most=total)


def _check_size(what: str, packed: int, unpacked: int, most: int = LARGEST) -> None:
    if not 0 <= unpacked <= most_bytes(packed, most):
        raise ValueError(f"{what} claims to unpack {packed} bytes to {unpacked}")


def _whole(content: bytes) -> bool:
    expected = int.from_bytes(content[-_BYTES:], "little")
    return xxhash.xxh3_64_intdigest(content[:-_BYTES]) == expected


def _columns(ntuple: Any, names: Sequence[str]) -> list[int]:
    """Numbers of the columns that hold these fields, their sub-fields included."""
    fields = ntuple.field_records

    def path(field: int) -> Iterator[int]:
        yield field
        while fields[field].parent_field_id != field:
            field = fields[field].parent_field_id
            yield field

    wanted = set(names)
    tops = {number: fields[list(path(number))[-1]].field_name for number in range(len(fields))}
    return [column.idx for column in ntuple.column_records if tops[column.field_id] in wanted]


@dataclass(frozen=True, eq=False)
class Pages:
    """The pages of one field of numbers; as :class:`.Baskets`, for a field of an RNTuple.

    Attributes:
        name: of the field.
        edges: n + 1 of them; page i holds the entries from ``edges[i]`` to before ``edges[i + 1]``.
        seeks: position of each in the file.
        sizes: bytes of each in the file, without its checksum.
        checked: whether a checksum follows each.
        kind: of the column, as the file has it.
    """

    name: str
    edges: NDArray[np.int64]
    seeks: NDArray[np.int64]
    sizes: NDArray[np.int64]
    checked: NDArray[np.bool_]
    kind: int
    shape: tuple[int, ...] = ()

    @property
    def stored(self) -> np.dtype[Any]:
        """Type of the numbers."""
        return np.dtype(_TYPES[self.kind])

    def overlapping(self, start: int, stop: int) -> range:
        """Numbers of the pages that hold entries from ``start`` to before ``stop``."""
        first = int(self.edges.searchsorted(start, side="right")) - 1
        return range(first, int(self.edges.searchsorted(stop)))

    def decode(self, descriptor: int, number: int) -> NDArray[Any]:
        """Read and decompress one page; any thread may, because nothing is shared.

        Args:
            descriptor: of the open file.
            number: of the page.

        Returns:
            (entries,) in the machine's byte order.

        Raises:
            ValueError: the checksum is wrong, or the page is not what the file says.
            Exception: whatever a decoder says about damaged data.
        """
        size, entries = int(self.sizes[number]), int(self.edges[number + 1] - self.edges[number])
        whole = size + _BYTES * int(self.checked[number])
        raw = os.pread(descriptor, whole, int(self.seeks[number]))
        where = f"of entries {self.edges[number]}-{self.edges[number + 1] - 1}"
        if len(raw) < whole:
            raise ValueError(f"the file ends in the page {where}")
        if self.checked[number] and not _whole(raw):
            raise ValueError(f"the checksum of the page {where} is wrong")
        length, body = _length(self.kind, entries), memoryview(raw)[:size]
        content = np.frombuffer(body, np.uint8) if size == length else decompress(body, length)
        if self.kind == _BIT:
            return np.unpackbits(content, count=entries, bitorder="little").view(np.bool_)
        if self.kind in _PLAIN:
            return content.view(self.stored)
        ranks = content.reshape(self.stored.itemsize, entries)
        values = np.empty((entries, self.stored.itemsize), np.uint8)
        for rank, part in enumerate(ranks):
            values[:, rank] = part
        if self.kind in _SPLIT:
            return values.view(self.stored)[:, 0]
        folded = values.view(self.stored.str.replace("i", "u"))[:, 0]
        sign = folded & folded.dtype.type(1)
        folded >>= folded.dtype.type(1)
        folded ^= np.negative(sign, out=sign)
        return folded.view(self.stored)


def _length(kind: int, entries: int) -> int:
    return -(-entries // 8) if kind == _BIT else entries * np.dtype(_TYPES[kind]).itemsize


def locate_pages(ntuple: Any, names: Sequence[str]) -> dict[str, Pages]:
    """Find the pages of fields that hold one number an entry.

    Args:
        ntuple: of uproot.
        names: top-level fields.

    Returns:
        By name, without those that uproot has to read: other fields, fields that a part of the
        file lacks or has in another form, and unusual encodings.

    Raises:
        ValueError: a page list is damaged, or a page cannot hold what it claims.
    """
    check_page_lists(ntuple)
    fields = ntuple.field_records
    tops = {
        field.field_name: number
        for number, field in enumerate(fields)
        if field.parent_field_id == number
        and not field.repetition
        and field.source_field_id is None
    }
    columns: dict[int, list[Any]] = {}
    for column in ntuple.column_records:
        columns.setdefault(column.field_id, []).append(column)
    parents = {
        field.parent_field_id for n, field in enumerate(fields) if field.parent_field_id != n
    }
    clusters, first = list(ntuple.cluster_summaries), 0
    for cluster in clusters:
        if int(cluster.num_first_entry) != first or cluster.num_entries <= 0:
            return {}
        first += int(cluster.num_entries)
    if first != ntuple.num_entries:
        return {}
    located: dict[str, Pages] = {}
    for name in names:
        of_field = columns.get(tops.get(name, -1), [])
        if len(of_field) == 1 and tops[name] not in parents and of_field[0].type in _TYPES:
            pages = _pages(ntuple, name, of_field[0], clusters)
            located |= {} if pages is None else {name: pages}
    return located


def _pages(ntuple: Any, name: str, column: Any, clusters: Sequence[Any]) -> Pages | None:
    rows: list[tuple[int, int, int, bool]] = []
    for number, cluster in enumerate(clusters):
        listed = ntuple.page_link_list[number]
        link = listed[column.idx] if column.idx < len(listed) else None
        if link is None or link.suppressed or link.element_offset != cluster.num_first_entry:
            return None
        count = len(rows)
        for page in link.pages:
            entries, size = int(page.num_elements), int(page.locator.num_bytes)
            _check_size(f"a page of {name}", size, _length(column.type, entries))
            if entries <= 0:
                return None
            rows.append((entries, int(page.locator.offset), size, bool(page.has_checksum)))
        if sum(row[0] for row in rows[count:]) != cluster.num_entries:
            return None
    if not rows:
        return None
    counts, seeks, sizes, checked = (np.array(part) for part in zip(*rows, strict=True))
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Pages(name, edges, seeks, sizes, checked, int(column.type))
