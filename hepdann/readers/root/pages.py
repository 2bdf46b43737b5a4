"""What uproot does not look at in an RNTuple: the checksums of its pages, and what they claim.

uproot compares the checksums of header and footer only, and believes every size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import xxhash

from .baskets import LARGEST, most_bytes

__all__ = ["check_cluster_size", "check_envelopes", "check_page_lists", "check_pages"]

_SHORTEST = 4  # bytes of an element in memory; in the file it may be a bit
_BYTES = 8  # an XXH3 of 64 bits, little-endian, behind what it is of


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
