"""Images of events: of jagged branches of hits in a tree, and of datasets of pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...tensors import View
from ..prescan import FileScan
from .blocks import Empty, RawBlock, read_blocks


@dataclass(frozen=True)
class ChannelPlace:
    """Where one channel of one view lies in an HDF5 file: in channel ``index`` of ``dataset``."""

    dataset: str
    index: int
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class HitColumns:
    """The hits of n events, one event after the other.

    Attributes:
        counts: (n,) hits of each event; all other arrays are as long as their sum.
        view: index of the view.
        column: plane, counted inside the view's image.
        strip: strip in its plane.
        values: by name of the channel.
    """

    counts: NDArray[np.int64]
    view: NDArray[np.int64]
    column: NDArray[np.int64]
    strip: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.counts)


def rasterise(
    hits: HitColumns, views: Sequence[View]
) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Put hits where they belong.

    Energies of hits in one pixel add up (in float64, rounded once); its time is that of the first
    of them in time. A pixel without hits is 0 in every channel.

    Args:
        hits: the hits.
        views: shapes of the images, with names of their channels; ``hits.view`` counts them.

    Returns:
        By view (n, C, H, W) float32; and how many hits were left out, by reason.
    """
    event = np.repeat(np.arange(len(hits)), hits.counts)
    finite = np.ones(len(event), np.bool_)
    for values in hits.values.values():
        finite &= np.isfinite(values)
    known = (hits.view >= 0) & (hits.view < len(views))
    used = 0
    images: dict[str, NDArray[np.float32]] = {}
    for number, view in enumerate(views):
        in_view = finite & (hits.view == number)
        in_view &= (hits.column >= 0) & (hits.column < view.width)
        in_view &= (hits.strip >= 0) & (hits.strip < view.height)
        rows = np.flatnonzero(in_view)
        used += len(rows)
        pixel = (event[rows] * view.height + hits.strip[rows]) * view.width + hits.column[rows]
        area = len(hits) * view.height * view.width
        image = np.empty((len(hits), *view.shape), np.float32)
        for channel, name in enumerate(view.channel_names):
            values = hits.values[name][rows]
            if name == "time":
                flat = _first(pixel, values, area)
            else:
                flat = np.bincount(pixel, values, area).astype(np.float32)
            image[:, channel] = flat.reshape(len(hits), view.height, view.width)
        images[view.name] = image
    left_out = {
        "hits are not finite": int((~finite).sum()),
        "hits are of no known view": int((finite & ~known).sum()),
        "hits lie outside the image": int((finite & known).sum()) - used,
    }
    return images, {reason: count for reason, count in left_out.items() if count}


def _first(pixel: NDArray[np.int64], values: NDArray[np.float32], area: int) -> NDArray[np.float32]:
    # of several values for one place numpy keeps the last: the smallest, in this order
    order = np.argsort(-values, kind="stable")
    flat = np.zeros(area, np.float32)
    flat[pixel[order]] = values[order]
    return flat


def read_hits(
    file: FileScan,
    branches: Sequence[str],
    size: int,
    parts: Mapping[str, str],
    channels: Sequence[str],
) -> Iterator[tuple[RawBlock, HitColumns]]:
    """Read scalar branches and hits with uproot, at most ``size`` entries at a time.

    Args:
        file: a file of the pre-scan.
        branches: branches that can become columns.
        size: largest number of entries a block.
        parts: the branches of hits: of view, strip, plane or module, and of the channels.
        channels: those that are read.

    Raises:
        ReadError: a branch cannot be read, or branches of hits have different lengths.
    """
    used = [n for p, n in parts.items() if p in ("view", "strip", "plane", "module", *channels)]
    for block in read_blocks(file, list(dict.fromkeys([*branches, *used])), size):
        columns = {name: block.columns[name] for name in branches}
        yield RawBlock(block.start, columns), _hits(block, file, parts, channels)


def _hits(
    block: RawBlock, file: FileScan, parts: Mapping[str, str], channels: Sequence[str]
) -> HitColumns:
    import awkward

    def flat(part: str, dtype: type) -> NDArray[Any]:
        name = parts[part]
        lengths = awkward.to_numpy(awkward.num(block.columns[name]))
        if not np.array_equal(lengths, counts):
            row = int(np.flatnonzero(lengths != counts)[0])
            raise ReadError(
                f"has {lengths[row]} hits in entry {block.start + row}, {parts['view']} has "
                f"{counts[row]}",
                where=f"{file.path}:{file.tree}/{name}",
                mend="branches of hits run along",
            )
        return np.asarray(awkward.to_numpy(awkward.flatten(block.columns[name]))).astype(dtype)

    counts = awkward.to_numpy(awkward.num(block.columns[parts["view"]])).astype(np.int64)
    view = flat("view", np.int64)
    if "plane" in parts:
        column = flat("plane", np.int64)
    else:  # a module is an X plane behind a U or V plane, which take turns
        column = flat("module", np.int64)
        column = np.where(view == 0, column, column // 2)
    values = {channel: flat(channel, np.float32) for channel in channels}
    return HitColumns(counts, view, column, flat("strip", np.int64), values)


def images_of_hits(block: RawBlock, hits: HitColumns, views: Sequence[View], _: Empty) -> RawBlock:
    """The block with the images that its hits make."""
    images, faults = rasterise(hits, views)
    return _transformed(block, images, faults, views)


def images_of_pixels(
    block: RawBlock,
    pixels: Mapping[str, Mapping[str, ChannelPlace]],
    views: Sequence[View],
    _: Empty,
) -> RawBlock:
    """The block with the channels of its datasets brought together, each cut to its size."""
    images, faults = {}, {"pixels are not finite": 0, "hits lie outside the image": 0}
    for view in views:
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
    return _transformed(block, images, {r: n for r, n in faults.items() if n}, views)


def _transformed(
    block: RawBlock,
    images: dict[str, NDArray[np.float32]],
    faults: dict[str, int],
    views: Sequence[View],
) -> RawBlock:
    for view in views:
        for channel, transform in enumerate(view.transforms):
            transform.apply(images[view.name][:, channel])
    return RawBlock(block.start, block.columns, images, faults)
