"""The readers of tables, with HDF5 files beside trees, and with images beside columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import ConversionConfig
from ...errors import ReadError
from ..pipeline.blocks import BlockReader, Empty, RawBlock
from ..pipeline.entry_ranges import Unit, UnitReader, by_blocks, choose_reader
from ..planning.input_samples import Skips, gather
from ..prescan import FileScan
from ..tables import TABLE_READERS
from .hdf5 import read_hdf5
from .hits import Hits, rasterise, read_hits
from .plan import ImagePlan, find_pixels, hit_branches, plan_images

_OTHERS: dict[str, BlockReader] = {"HDF5": read_hdf5, **TABLE_READERS}
IMAGES = 256  # entries whose images are made at a time: 13 MB a channel of the smaller size
Arrays = dict[str, NDArray[Any]]


def read_tables(read: BlockReader) -> BlockReader:
    """Let a reader of trees read HDF5 and parquet files too."""

    def either(file: FileScan, branches: Sequence[str], size: int) -> Iterator[RawBlock]:
        yield from _OTHERS.get(file.kind, read)(file, branches, size)

    return either


def image_units(cut: UnitReader, plan: ImagePlan | None) -> UnitReader:
    """Let what cuts trees into units cut HDF5 files too, and make images where there is a plan.

    Reading is done where a unit is drawn; images are made in the threads.
    """

    def units(file: FileScan, branches: Sequence[str], size: int) -> Iterator[Unit]:
        if plan is None:
            if file.kind not in _OTHERS:
                yield from cut(file, branches, size)
                return
            yield from by_blocks(_OTHERS[file.kind], file, branches, size)
            return
        size = min(size, IMAGES)
        if file.kind == "HDF5":
            pixels = find_pixels(file, plan.settings)
            channels = plan.views[0].channel_names
            names = {
                pixels[view.name][channel].dataset for view in plan.views for channel in channels
            }
            for block in read_hdf5(file, branches, size, sorted(names)):
                yield _unit(block, partial(_from_pixels, block, file, plan))
            return
        parts = hit_branches(file, plan.settings) or {}
        for block, hits in read_hits(file, branches, size, parts, plan.views[0].channel_names):
            yield _unit(block, partial(_from_hits, block, hits, plan))

    return units


def _unit(block: RawBlock, read: partial[RawBlock]) -> Unit:
    return Unit(block.start, block.start + len(block), read)


def _from_hits(block: RawBlock, hits: Hits, plan: ImagePlan, _: Empty) -> RawBlock:
    images, faults = rasterise(hits, plan.views)
    return _transformed(block, images, faults, plan)


def _from_pixels(block: RawBlock, file: FileScan, plan: ImagePlan, _: Empty) -> RawBlock:
    """Bring the channels of the datasets together, each cut to its size."""
    pixels = find_pixels(file, plan.settings)
    images, faults = {}, {"pixels are not finite": 0, "hits lie outside the image": 0}
    for view in plan.views:
        image = np.empty((len(block), *view.shape), np.float32)
        for number, channel in enumerate(view.channel_names):
            place = pixels[view.name][channel]
            whole = block.views[place.dataset]
            whole = whole[:, place.index] if whole.ndim == 4 else whole
            image[:, number] = whole[:, : view.height, : view.width]
            if (place.height, place.width) != (view.height, view.width):
                outside = np.count_nonzero(whole) - np.count_nonzero(image[:, number])
                faults["hits lie outside the image"] += int(outside)
        with np.errstate(over="ignore", invalid="ignore"):
            total = image.sum()  # one NaN or infinity shows in it
        if not np.isfinite(total):
            bad = ~np.isfinite(image)
            faults["pixels are not finite"] += int(bad.sum())
            image[bad] = 0
        images[view.name] = image
    return _transformed(block, images, {r: n for r, n in faults.items() if n}, plan)


def _transformed(
    block: RawBlock,
    images: dict[str, NDArray[np.float32]],
    faults: dict[str, int],
    plan: ImagePlan,
) -> RawBlock:
    for view in plan.views:
        for channel, transform in enumerate(view.transforms):
            transform.apply(images[view.name][:, channel])
    return RawBlock(block.start, block.columns, images, faults)


def first_events(path: str, n: int, *, start: int = 0) -> tuple[str, Arrays, Arrays]:
    """Read events of an HDF5 file of images, or of a ROOT tree of hits.

    Args:
        path: the file, or ``path:tree``.
        n: how many events.
        start: the first of them.

    Returns:
        What the pixels are, ``energy`` or, where there is none, ``time``; by view the images
        (n, strips, planes); and by name every scalar column (n,). Fewer where the file ends.

    Raises:
        ReadError: the file cannot be read, holds no images, or no events there.
    """
    config = ConversionConfig()
    inputs = gather([path], [], config)
    plan = plan_images(inputs, config, Skips())
    file = inputs[0].files[0]
    if plan is None:
        raise ReadError("holds neither images nor hits", where=path)
    if not 0 <= start < file.entries:
        raise ReadError(f"has no event {start}, but {file.entries} events", where=path)
    names = [name for name, branch in file.branches.items() if branch.scalar]
    _, cut = choose_reader("auto")
    images: dict[str, list[NDArray[Any]]] = {view.name: [] for view in plan.views}
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for unit in image_units(cut, plan)(file, names, min(start + n, 512)):
        if unit.start >= start + n:
            break
        if unit.stop <= start:
            continue
        block = unit.read(np.empty)
        rows = slice(max(start - unit.start, 0), start + n - unit.start)
        for name, kept in images.items():
            kept.append(block.views[name][rows, 0])
        for name, column in columns.items():
            column.append(block.columns[name][rows])
    return (
        plan.views[0].channel_names[0],
        {name: np.concatenate(parts) for name, parts in images.items()},
        {name: np.concatenate(parts) for name, parts in columns.items()},
    )
