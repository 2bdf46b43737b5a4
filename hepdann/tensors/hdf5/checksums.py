"""Checksums of the rows, and a seal on the structure, of a tensor file.

Rows: an xxh64 for every 65,536 rows of every dataset, as contiguous HDF5 data has no checksum. Of
compressed images it is one a chunk, of the images and not of what they were compressed to: a
program may compress them anew.

Structure: HDF5's own structures (and with them names, attributes and those checksums) are checked
before HDF5 reads them: a single flipped bit in its heap of strings makes it read for ever. A hash
of all bytes that are no rows stands after the last byte of HDF5, where any reader of HDF5 passes it
over::

    HDF5 ... | JSON {"size", "rows": [[offset, bytes], ...], "structure", "content"}
        | magic | length | xxh64

``size`` is that of the HDF5 part, ``structure`` the xxh64 of its bytes outside ``rows``,
``content`` that of names, attributes and checksums without the provenance; ``length`` and ``xxh64``
are of the JSON, as little-endian uint64. A program that writes the file with HDF5
cuts the seal off. That is allowed; a seal that is there, or a part of one, must fit.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xxhash
from numpy.typing import NDArray

from ...errors import SchemaError
from ..layout import Dataset
from .chunks import h5_open

CHECKSUMS = "checksums"
TILE_ROWS = 65_536
_MAGIC = b"hepdann-seal-01\n"
_FOOTER = struct.Struct("<16sQQ")
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SUPERBLOCK = struct.Struct("<8sBBBB8x8xQ")  # versions 2 and 3; the last is the size of the file
_READ_BYTES = 1 << 20


class TileHasher:
    """Hashes rows in order of arrival; blocks of any size give the same hashes."""

    def __init__(self, rows: int = TILE_ROWS) -> None:
        self._rows = rows
        self._done: list[int] = []
        self._hash = xxhash.xxh64()
        self._filled = 0
        self.mark()

    def mark(self) -> None:
        """Remember this state for :meth:`rollback`."""
        self._mark = len(self._done), self._hash.copy(), self._filled

    def rollback(self) -> None:
        """Forget the rows since :meth:`mark`."""
        count, marked, self._filled = self._mark
        del self._done[count:]
        self._hash = marked.copy()

    def update(self, values: NDArray[Any]) -> None:
        """Add C-ordered rows."""
        while len(values):
            piece = values[: self._rows - self._filled]
            if piece.size:
                self._hash.update(piece.reshape(-1).view(np.uint8).data)
            self._filled += len(piece)
            values = values[len(piece) :]
            if self._filled == self._rows:
                self._close_tile()

    def digests(self) -> NDArray[np.uint64]:
        """The hash of every tile, the last one possibly of fewer rows."""
        if self._filled:
            self._close_tile()
        return np.array(self._done, dtype=np.uint64)

    def _close_tile(self) -> None:
        self._done.append(self._hash.intdigest())
        self._hash = xxhash.xxh64()
        self._filled = 0


def store_checksums(
    file: Any, digests: dict[str, NDArray[np.uint64]], columns: Sequence[Dataset]
) -> None:
    """Write ``/checksums/<path of the dataset>``, one uint64 a tile, into an open HDF5 file.

    Where a tile is not of ``tile_rows`` rows, an attribute of the dataset says of how many.
    """
    group = file.create_group(CHECKSUMS)
    group.attrs["algorithm"] = "xxh64"
    group.attrs["tile_rows"] = TILE_ROWS
    for column in columns:
        dataset = group.create_dataset(column.path, data=digests[column.path], dtype="<u8")
        if column.chunk:
            dataset.attrs["tile_rows"] = column.chunk


def damaged_tiles(file: Any, paths: list[str]) -> Iterator[str]:
    """Read datasets of an open HDF5 file again and compare.

    Yields:
        A line for each tile that differs, such as ``mc/features rows 65536-131071``, and for each
        dataset that has no checksums.
    """
    for path in paths:
        dataset = file[path]
        stored = file.get(f"{CHECKSUMS}/{path}")
        each = TILE_ROWS if stored is None else int(stored.attrs.get("tile_rows", TILE_ROWS))
        tiles = range(0, len(dataset), each)
        if stored is None or len(stored) != len(tiles):
            yield f"{path} has no checksums"
            continue
        for expected, start in zip(stored[...], tiles, strict=True):
            stop = min(start + each, len(dataset))
            if _digest(dataset, start, stop) != expected:
                yield f"{path} rows {start}-{stop - 1}"


def _digest(dataset: Any, start: int, stop: int) -> np.uint64 | None:
    """The hash of some rows; ``None`` if they cannot be decompressed."""
    hasher = TileHasher()
    try:
        hasher.update(dataset[start:stop])
    except OSError:
        return None
    return np.uint64(hasher.digests()[0])


def seal(path: str | Path) -> None:
    """Put the seal on a whole tensor file, or a new one after a change that was meant.

    Raises:
        OSError: it cannot be read as HDF5, or not be written.
    """
    with h5_open(path) as file:
        rows, content = sorted(_rows(file)), _content(file)
    with Path(path).open("r+b") as stream:
        old = _read(stream)
        size = int(old["size"]) if old else os.fstat(stream.fileno()).st_size
        body = {"size": size, "rows": rows, "structure": _hash(stream, size, rows)}
        body["content"] = content
        text = json.dumps(body, separators=(",", ":")).encode()
        stream.seek(size)
        stream.truncate()
        stream.write(text + _FOOTER.pack(_MAGIC, len(text), xxhash.xxh64_intdigest(text)))


def is_sealed(path: str | Path) -> bool:
    """Whether a file ends with a seal, be it damaged.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as stream:
        return _read(stream) is not None


def check_seal(path: str | Path) -> None:
    """Whether the structure of a tensor file is as it was sealed; one without a seal passes.

    Raises:
        SchemaError: not HDF5, truncated, or damaged.
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        head = stream.read(_SUPERBLOCK.size)
        if not head.startswith(_SIGNATURE) or len(head) < _SUPERBLOCK.size:
            raise SchemaError(
                "is not an HDF5 file", where=path, mend="tensor files come from hepdann convert"
            )
        _, version, _, _, _, end = _SUPERBLOCK.unpack(head)
        if version in (2, 3) and size < end:
            raise SchemaError("is truncated", where=path, mend="copy or convert it again")
        body = _read(stream)
        if body is None and not (version in (2, 3) and size > end):
            return
        if not body or _hash(stream, int(body["size"]), body["rows"]) != body["structure"]:
            raise SchemaError(
                "is damaged or cut off: its structure differs from what was written",
                where=path,
                mend="copy or convert it again",
            )


def content_id(stream: BinaryIO) -> str:
    """A hash that two files share if they hold the same, whatever they are called.

    That of a sealed file stands in its seal, at no cost; in an older one it is that of the
    structure, provenance included. A file without a seal is read whole.

    Returns:
        16 hexadecimal digits, the xxh64.

    Raises:
        OSError: it cannot be read.
    """
    body = _read(stream)
    if body:
        return str(body.get("content", body["structure"]))
    return _hash(stream, os.fstat(stream.fileno()).st_size, [])


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    """The JSON of the seal; ``None`` if there is none, empty if it is damaged."""
    size = os.fstat(stream.fileno()).st_size
    if size < _FOOTER.size:
        return None
    stream.seek(size - _FOOTER.size)
    magic, length, digest = _FOOTER.unpack(stream.read(_FOOTER.size))
    start = size - _FOOTER.size - length
    if magic != _MAGIC:
        return None
    if start < 0:
        return {}
    stream.seek(start)
    text = stream.read(length)
    if xxhash.xxh64_intdigest(text) != digest:
        return {}
    try:
        body: dict[str, Any] = json.loads(text)
        whole = body["size"] == start and isinstance(body["structure"], str)
        places = [(int(offset), int(count)) for offset, count in body["rows"]]
    except (LookupError, TypeError, ValueError, RecursionError):
        return {}
    ends = [0, *(offset + count for offset, count in places)]
    whole &= all(
        count >= 0 and offset >= end for (offset, count), end in zip(places, ends, strict=False)
    )
    return body | {"rows": places} if whole else {}


def _rows(file: Any) -> Iterator[tuple[int, int]]:
    """Where the bytes of the datasets are that have checksums of their own."""
    paths: list[str] = []
    if CHECKSUMS in file:
        file[CHECKSUMS].visit(paths.append)
    for path in paths:
        dataset = file.get(path)
        if not hasattr(dataset, "id") or not hasattr(dataset, "chunks"):
            continue  # a group
        if dataset.chunks is not None:
            pieces: list[tuple[int, int]] = []
            dataset.id.chunk_iter(
                lambda chunk, to=pieces: to.append((chunk.byte_offset, chunk.size))
            )
            yield from pieces
        elif dataset.id.get_offset() is not None:
            yield dataset.id.get_offset(), dataset.id.get_storage_size()


def _content(file: Any) -> str:
    """xxh64 of names, types, attributes and checksums of an open HDF5 file, in order of names."""
    hasher = xxhash.xxh64()

    def add(name: str, item: Any) -> None:
        attrs = {k: np.asarray(v).tolist() for k, v in item.attrs.items() if k != "provenance"}
        kind = [str(getattr(item, key, None)) for key in ("dtype", "shape")]
        hasher.update(json.dumps([name, kind, attrs], sort_keys=True, default=str).encode())
        if name.startswith(f"{CHECKSUMS}/") and hasattr(item, "dtype"):
            hasher.update(item[...].tobytes())

    add("", file)
    file.visititems(add)
    return str(hasher.hexdigest())


def _hash(stream: BinaryIO, size: int, rows: list[Any]) -> str:
    """xxh64 of the bytes outside ``rows``, which are in order."""
    hasher = xxhash.xxh64()
    at = 0
    for offset, count in [*rows, (size, 0)]:
        stream.seek(at)
        while at < offset:
            piece = stream.read(min(_READ_BYTES, offset - at))
            if not piece:
                break
            hasher.update(piece)
            at += len(piece)
        at = max(at, offset + count)
    return str(hasher.hexdigest())
