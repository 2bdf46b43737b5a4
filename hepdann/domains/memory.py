"""Does a training fit into memory? If not, it goes through its tensors block by block."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np

from ..tensors import EventBlocks, Source, Target, Tensors, read_images

Memory = Literal["resident", "blocks"]

_COPIES = 6  # of the features that a training and its scoring hold at a time, at their peak
_SHARE = 0.6  # of the memory that is there
_IMAGE_COPIES = 4  # of images as they are held, likewise
_PROBED = 1_024  # images whose bytes are counted


def available_memory() -> int:
    """Bytes that this process may still use: of the machine, or of its slot on a batch farm."""
    limits = [
        int(line.split()[1]) * 1024
        for line in _lines(Path("/proc/meminfo"))
        if line.startswith("MemAvailable:")
    ]
    if not limits:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    return max(0, min([*limits, *_limits_of_groups()]))


def _limits_of_groups() -> list[int]:
    """What the control groups of this process, which hold it to a batch slot, leave free."""
    free = []
    for line in _lines(Path("/proc/self/cgroup")):
        _, kind, name = line.split(":", 2)
        root = Path("/sys/fs/cgroup") / ("memory" if kind else "")
        if kind not in ("", "memory"):
            continue
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if kind else (
            "memory.max", "memory.current"
        )  # fmt: skip
        group = root / name.lstrip("/")
        for folder in (group, *group.parents):
            limit, used = (_lines(folder / file) for file in names)
            if limit and used and limit[0].isdigit():
                memory = _lines(folder / "memory.stat")
                entries = dict(line.split()[:2] for line in memory if " " in line)
                cached = entries.get("file", entries.get("cache", 0))  # while nobody needs the room
                free.append(int(limit[0]) - int(used[0]) + int(cached))
            if folder == root:
                break
    return free


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def choose_memory(
    wanted: str, tensors: Tensors, data: Tensors | None, members: int, workers: int = 1
) -> Memory:
    """How a training holds its events.

    Args:
        wanted: "resident", "blocks", or "auto": blocks where the events, with what is computed of
            them, would take more than about half of the memory that is there.
        tensors: holds the MC.
        data: holds the data, if another file does.
        members: networks that will score every event.
        workers: processes that train; where there are several, each holds the events.
    """
    if wanted in ("resident", "blocks"):
        return "blocks" if wanted == "blocks" else "resident"
    holder = tensors if data is None else data
    if not tensors.tabular:
        need = sum(_image_bytes(f, d, members) for f, d in ((tensors, "mc"), (holder, "data")))
        return "blocks" if need > _SHARE * available_memory() else "resident"
    rows = tensors.rows("mc") + holder.rows("data")
    copies = _COPIES * (1 if workers == 1 else 1 + workers)
    each = 4 * len(tensors.features) * copies + 4 * max(2, len(tensors.classes)) * members + 32
    return "blocks" if rows * each > _SHARE * available_memory() else "resident"


def _image_bytes(file: Tensors, domain: str, members: int) -> float:
    """What the images of a domain, and their scores, take."""
    rows = file.rows(domain)
    if not rows:
        return 0.0
    some = read_images(file, domain, np.arange(min(rows, _PROBED)))
    return rows * (_IMAGE_COPIES * some.nbytes / len(some) + 4 * len(file.classes) * members)


def describe_memory(source: Source, target: Target, blocks: tuple[EventBlocks, EventBlocks]) -> str:
    """One line on what is streamed and what is sampled."""
    trained = " + ".join(f"{b.n_train:,}" for b in blocks)
    return (
        f"memory: {trained} training events of source + target are read in blocks; figures and "
        f"scores are those of a sample of {len(source):,} + {len(target):,} events"
    )
