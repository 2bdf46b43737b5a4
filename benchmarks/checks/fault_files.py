"""Small ROOT files of every codec, and ways to damage them, for ``faults.py``."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import uproot

ROWS = 600
CODECS: dict[str, Any] = {
    "none": None,
    "zlib": uproot.ZLIB(1),
    "lz4": uproot.LZ4(1),
    "zstd": uproot.ZSTD(1),
    "lzma": uproot.LZMA(1),
}


def columns(seed: int, rows: int = ROWS) -> dict[str, np.ndarray]:
    """Compressible and incompressible ones."""
    rng = np.random.default_rng(seed)
    return {
        "pt": rng.exponential(30, rows).astype("f4"),
        "eta": np.repeat(rng.normal(size=(rows + 9) // 10), 10)[:rows],
        "njets": rng.integers(0, 9, rows, dtype="i4"),
        "isb": (np.arange(rows) % 2).astype("i4"),
        "event": np.arange(rows) + 1_000_000 * seed,
    }


def write(path: Path, seed: int, codec: str, kind: str, rows: int = ROWS, parts: int = 3) -> None:
    """A file with ``parts`` baskets (or clusters)."""
    tree = columns(seed, rows)
    pieces = [{n: np.array_split(v, parts)[i] for n, v in tree.items()} for i in range(parts)]
    with uproot.recreate(path, compression=CODECS[codec]) as file:
        if kind == "RNTuple":
            target = file.mkrntuple("events", pieces.pop(0))
        else:
            target = file.mktree("events", {n: v.dtype for n, v in tree.items()})
        for piece in pieces:
            target.extend(piece)


def spots(path: Path, kind: str) -> dict[str, list[tuple[int, int]]]:
    """Places in the file as (start, stop), by what is there.

    Writers store as they are the baskets and pages that compression would not make smaller.
    """
    found: dict[str, list[tuple[int, int]]] = {"compressed": [], "stored": []}
    with uproot.open(path) as file:
        tree = file["events"]
        if kind == "RNTuple":
            for cluster in tree.page_link_list:
                for column, described in zip(tree.column_records, cluster, strict=True):
                    for page in described.pages:
                        start, size = int(page.locator.offset), int(page.locator.num_bytes)
                        stored = size == -(-page.num_elements * column.nbits // 8)
                        found["stored" if stored else "compressed"].append((start, start + size))
        else:
            found["basket header"] = []
            for branch in tree.branches:
                for number in range(branch.num_baskets):
                    key = branch.basket_key(number)
                    start = int(branch.member("fBasketSeek")[number])
                    middle, stop = start + key.fKeylen, start + key.fNbytes
                    found["basket header"].append((start, middle))
                    stored = stop - middle == key.fObjlen
                    found["stored" if stored else "compressed"].append((middle, stop))
    taken = [place for places in found.values() for place in places]
    found["structure"] = _between(taken, path.stat().st_size)
    return {what: places for what, places in found.items() if places}


def _between(ranges: list[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    found, at = [], 0
    for start, stop in [*sorted(ranges), (size, size)]:
        if start > at:
            found.append((at, start))
        at = max(at, stop)
    return found


def mutate(content: bytearray, where: list[tuple[int, int]], rng: random.Random) -> str:
    """Damage ``content`` in one of these places; returns how."""
    weights = [stop - start for start, stop in where]
    start, stop = rng.choices(where, weights)[0]
    place = rng.randrange(start, stop)
    how = rng.choice(["bit"] * 6 + ["byte", "zeros", "noise", "word", "shift", "truncated"])
    if how == "bit":
        content[place] ^= 1 << rng.randrange(8)
    elif how == "byte":
        content[place] = rng.randrange(256)
    elif how == "zeros":
        length = min(rng.choice([4, 64, 512]), stop - place)
        content[place : place + length] = bytes(length)
    elif how == "noise":
        length = min(rng.choice([4, 64, 512]), stop - place)
        content[place : place + length] = rng.randbytes(length)
    elif how == "word":  # a length or a count at its limits
        length = min(4, stop - place)
        value = rng.choice([b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x40\x00\x00\x00"])
        content[place : place + length] = value[:length]
    elif how == "shift":
        del content[place : place + rng.choice([1, 8, 512])]
    else:
        del content[place:]
    return how
