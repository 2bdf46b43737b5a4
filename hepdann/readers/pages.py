"""The checksums of an RNTuple: uproot compares those of header and footer, this the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import xxhash

__all__ = ["check_page_lists", "check_pages"]

_BYTES = 8  # an XXH3 of 64 bits, little-endian, behind what it is of


def check_page_lists(ntuple: Any) -> None:
    """Compare the page lists with their checksums.

    A damaged number of elements would make uproot fill the machine's memory.

    Raises:
        ValueError: a checksum is wrong.
    """
    for record in ntuple.footer.cluster_group_records:
        link = record.page_list_link
        chunk, _ = ntuple.read_locator(link.locator, link.env_uncomp_size)
        if not _whole(bytes(chunk.raw_data)):
            raise ValueError("the checksum of a page list is wrong")


def check_pages(ntuple: Any, names: Sequence[str], start: int, stop: int) -> None:
    """Compare the pages of some fields with their checksums, where the writer made any.

    ROOT writes them unless told otherwise; uproot 5.7 writes none.

    Args:
        ntuple: of uproot.
        names: top-level fields.
        start: first entry.
        stop: the entry after the last.

    Raises:
        ValueError: a checksum is wrong; names the entries of the cluster.
    """
    columns = _columns(ntuple, names)
    for number, cluster in enumerate(ntuple.cluster_summaries):
        first = int(cluster.num_first_entry)
        last = first + int(cluster.num_entries)
        if last <= start or first >= stop:
            continue
        described = ntuple.page_link_list[number]
        for column in columns:
            for page in described[column].pages if column < len(described) else ():
                if page.has_checksum:
                    at, size = int(page.locator.offset), int(page.locator.num_bytes)
                    chunk = ntuple.file.source.chunk(at, at + size + _BYTES)
                    if not _whole(bytes(chunk.raw_data)):
                        raise ValueError(f"a checksum in entries {first}-{last - 1} is wrong")


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
