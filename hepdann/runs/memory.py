"""Does a training fit into memory? If not, it goes through its tensors block by block."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ..evaluation import open_truth
from ..tensors import EventBlocks, Source, Target, Tensors, column_at

if TYPE_CHECKING:
    from ..shifts import Composition, FittedShift, Shift
    from .domains import Domains

__all__ = ["Memory", "available_memory", "choose_memory", "describe_memory", "prepare_blocks"]

Memory = Literal["resident", "blocks"]

SAMPLE = 300_000  # events of each domain that everything but the training's batches sees
_COPIES = 6  # of the features that a training and its scoring hold at a time, at their peak
_SHARE = 0.6  # of the memory that is there
_STREAM = 0x5417B


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
                free.append(int(limit[0]) - int(used[0]) + _cached(folder))
            if folder == root:
                break
    return free


def _cached(group: Path) -> int:
    """Bytes of files that the system keeps for the group while nobody needs the room."""
    entries = dict(line.split()[:2] for line in _lines(group / "memory.stat") if " " in line)
    return int(entries.get("file", entries.get("cache", 0)))


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
    if wanted == "resident":
        return "resident"
    if wanted == "blocks":
        return "blocks"
    holder = tensors if data is None else data
    rows = tensors.rows("mc") + holder.rows("data")
    copies = _COPIES * (1 if workers == 1 else 1 + workers)
    each = 4 * len(tensors.features) * copies + 4 * max(2, len(tensors.classes)) * members + 32
    return "blocks" if rows * each > _SHARE * available_memory() else "resident"


def prepare_blocks(
    tensors: Tensors, data: Tensors | None, shift: Shift | Composition | None, seed: int
) -> Domains:
    """As :func:`hepdann.runs.domains.prepare`, without ever holding a domain.

    Scales, maps, validation, scores and figures follow from a sample of each domain; the batches
    of the training from all of it. Pseudo-data is shifted block by block, each block with a
    generator of its own, so that an event looks the same whenever it is read.

    Args:
        tensors: holds the MC.
        data: holds the data, if not ``tensors`` itself.
        shift: makes pseudo-data; ``None`` takes the data domain.
        seed: of the shift's random part.
    """
    from .domains import data_holder, fit_domains

    if shift is None:
        holder = data_holder(tensors, data)
        source_blocks = EventBlocks(tensors, "mc", labelled=True)
        target_blocks = EventBlocks(holder, "data")
        fitted = None
    else:
        holder = tensors
        whole, _ = EventBlocks(tensors, "mc").sample(SAMPLE)
        fitted = shift.fit(whole.part("train").features)
        source_blocks = EventBlocks(tensors, "mc", pseudo=False, labelled=True)
        target_blocks = EventBlocks(tensors, "mc", pseudo=True, change=_shifting(fitted, seed))
    source, source_rows = source_blocks.sample(SAMPLE)
    target, rows = target_blocks.sample(SAMPLE)
    assert isinstance(source, Source)
    truth = None
    if shift is not None:
        truth = open_truth(tensors).pseudo(rows)
    elif holder.has_truth:
        truth = open_truth(holder).data(rows)
    blocks = (source_blocks, target_blocks)
    process = column_at(tensors, "mc", "sample", source_rows)
    return fit_domains(tensors, source, target, fitted, truth, process, blocks)


def _shifting(
    fitted: FittedShift, seed: int
) -> Callable[[NDArray[np.float32], int, bool], NDArray[np.float32]]:
    def change(features: NDArray[np.float32], block: int, train: bool) -> NDArray[np.float32]:
        words = np.random.SeedSequence([seed, _STREAM, block, train])
        return fitted.apply(features, np.random.Generator(np.random.Philox(words)))

    return change


def describe_memory(source: Source, target: Target, blocks: tuple[EventBlocks, EventBlocks]) -> str:
    """One line on what is streamed and what is sampled."""
    trained = " + ".join(f"{b.n_train:,}" for b in blocks)
    return (
        f"memory: {trained} training events of source + target are read in blocks; figures and "
        f"scores are those of a sample of {len(source):,} + {len(target):,} events"
    )
