"""The compressed blocks of ROOT files: 9 bytes of header, then one stream of one codec.

ROOT cuts what it compresses into blocks of less than 16 MiB. All decoders here release the GIL, so
that threads decompress side by side.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable
from typing import Any

import cramjam
import numpy as np
import xxhash
from isal import isal_zlib
from numpy.typing import NDArray

_HEADER = 9
_CHECKSUM = 8


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
