"""Images and objects of a training: what sums them up, and how much memory events need."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..shifts.noise import identities
from ..tensors import (
    SPLITS,
    ChangeImages,
    Collection,
    EventBlocks,
    EventImages,
    Objects,
    Source,
    Target,
    Tensors,
    View,
    ViewBlocks,
    column_at,
    image_figures,
    read_images,
)
from .events import Domains, Scaling, data_holder, fit_domains

if TYPE_CHECKING:
    from ..shifts import Composition, FittedShift, Shift

SAMPLE = 100_000  # events of each domain that everything but the training's batches sees
Memory = Literal["resident", "blocks"]
_COPIES = 6  # of the features that a training and its scoring hold at a time, at their peak
_SHARE = 0.6  # of the memory that is there
_IMAGE_COPIES = 4  # of images as they are held, likewise
_PROBED = 1_024  # images whose bytes are counted


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a run's events, or their objects, row by row.

    Attributes:
        source_spectators: (N,) columns of the source's events that are kept for figures.
        scaling: of the rows of objects, fitted on the source's training split; ``None`` of pixels.
    """

    views: tuple[View, ...]
    source: EventImages
    target: EventImages
    source_spectators: dict[str, NDArray[np.float32]]
    target_spectators: dict[str, NDArray[np.float32]]
    blocks: tuple[ViewBlocks, ViewBlocks] | None = None
    scaling: Scaling | None = None


def view_shapes(views: Sequence[View]) -> tuple[tuple[str, int, int, int], ...]:
    """As a network is told of them."""
    return tuple((view.name, *view.shape) for view in views)


def object_shapes(collections: Sequence[Collection]) -> tuple[tuple[str, int, int], ...]:
    """As a network is told of them."""
    return tuple((one.name, one.most, len(one.features)) for one in collections)


def prepare_images(
    tensors: Tensors,
    data: Tensors | None,
    shift: Shift | Composition | None,
    seed: int,
    memory: str,
) -> Domains:
    """As :func:`hepdann.domains.prepare`, of events that are images or have objects.

    The features of source and target are :func:`~hepdann.tensors.image_figures`, behind the
    file's own if it has any.

    Raises:
        SchemaError: no MC, no data where it is needed, or other images in the second file.
        ConfigError: the shift does not act on images, or objects; or not on blocks of them.
    """
    if shift is None:
        holder, fitted = data_holder(tensors, data), None
        parts = (_Part(tensors, "mc", None, labelled=True), _Part(holder, "data", None))
    else:
        holder, fitted = tensors, _fitted(shift, tensors)
        if memory == "blocks" and tensors.objects and fitted.drawn_in_turn:
            raise ConfigError(
                f"{fitted.name} shifts all objects together, and they are to be read in blocks",
                where="train.shift",
                mend="train on a machine with more memory, or take one of hepdann's own shifts",
            )
        change = _changing(fitted, tensors, seed)
        parts = (
            _Part(tensors, "mc", False, labelled=True),
            _Part(tensors, "mc", True, change=change),
        )
    (source, source_rows, source_hits), (target, target_rows, target_hits) = (
        p.events(memory) for p in parts
    )
    assert isinstance(source, Source)
    described = _described(tensors, source, parts[0].figures)
    process = column_at(tensors, "mc", "sample", source_rows)
    blocks, streams = None, None
    if memory == "blocks":
        blocks = (parts[0].blocks, parts[1].blocks)
        streams = (parts[0].stream(), parts[1].stream())
    domains = fit_domains(described, source, target, fitted, holder, target_rows, process, blocks)
    spectators = parts[0].spectators(source_rows), parts[1].spectators(target_rows)
    scaling = None
    if isinstance(source_hits, Objects):
        train = source.split == SPLITS.index("train")
        scaling = domains.scaling.with_objects(source_hits.take(train), source.weight[train])
    images = Images(tensors.views, source_hits, target_hits, *spectators, streams, scaling)
    return replace(domains, images=images)


class _Part:
    """One domain of a run."""

    def __init__(
        self,
        tensors: Tensors,
        domain: str,
        pseudo: bool | None,
        *,
        labelled: bool = False,
        change: ChangeImages | None = None,
    ) -> None:
        self._tensors, self._domain, self._change = tensors, domain, change
        self._labelled = labelled
        self.figures: tuple[str, ...] = ()  # names of what sums the images up, once they are read
        self.blocks = EventBlocks(tensors, domain, pseudo=pseudo, labelled=labelled)

    def events(self, memory: str) -> tuple[Target, NDArray[np.int64], EventImages]:
        """Events with their figures, their rows in the domain, and their images."""
        most = self.blocks.rows if memory == "resident" else SAMPLE
        events, rows = self.blocks.sample(2 * most if memory == "resident" else most)
        images = read_images(
            self._tensors, self._domain, rows, self._change, labelled=self._labelled
        )
        self.figures, figures = image_figures(images, self._tensors.views)
        features = images.features if isinstance(images, Objects) else events.features
        return events.with_features(np.concatenate([features, figures], axis=1)), rows, images

    def spectators(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """Columns that are kept for figures, at some rows of the domain."""
        table = column_at(self._tensors, self._domain, "spectators", rows)
        return dict(zip(self._tensors.spectators, table.T, strict=True))

    def stream(self) -> ViewBlocks:
        """All images, block by block."""
        return ViewBlocks(self._tensors, self._domain, self.blocks, self._change)


def _described(tensors: Tensors, source: Source, names: tuple[str, ...]) -> Tensors:
    """The file's description with the figures of its views, of these names, as features."""
    figures = source.part("train").features[:, len(tensors.features) :].astype(np.float64)
    known = np.isfinite(figures)
    mean = np.where(known, figures, 0.0).sum(0) / np.maximum(1, known.sum(0))
    energies = {f"energy_{view.name}" for view in tensors.views if view.in_mev}
    return replace(
        tensors,
        features=(*tensors.features, *names),
        units=(*tensors.units, *("MeV" if name in energies else "" for name in names)),
        feature_info=(*tensors.feature_info, *({} for _ in names)),
        impute=np.concatenate([tensors.impute, mean]),
    )


def _fitted(shift: Shift | Composition, tensors: Tensors) -> FittedShift:
    if not tensors.objects:
        return shift.of_images()
    train = np.flatnonzero(tensors.column("mc", "split") == SPLITS.index("train"))[:SAMPLE]
    objects = read_images(tensors, "mc", train)
    assert isinstance(objects, Objects)
    return shift.of_objects(objects)


def _changing(shift: FittedShift, tensors: Tensors, seed: int) -> ChangeImages:
    """What makes pseudo-data of the MC's images or objects, given their rows."""
    event_id = tensors.column("mc", "event_id")

    def change(images: Any, rows: NDArray[np.int64]) -> Any:
        if isinstance(images, Objects):
            return shift.apply_objects(images, identities(event_id[rows], images), seed)
        shift.apply_images(tensors.views, images, event_id[rows], seed)
        return images

    return change


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

    ``auto`` is blocks where the events, with what is computed of them, would take more than about
    half of the memory that is there: ``members`` networks score every event, and each of several
    ``workers`` holds them all.
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
