"""Jagged branches of hits out of a tree, and the images that they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...tensors import View
from ..pipeline.blocks import RawBlock, checked_baskets, cluster_ranges, misread, to_column
from ..prescan import FileScan
from ..root.opening import open_root, reading
from ..root.pages import check_pages


@dataclass(frozen=True, eq=False)
class Hits:
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
    hits: Hits, views: Sequence[View]
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
) -> Iterator[tuple[RawBlock, Hits]]:
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
    names = list(dict.fromkeys([*branches, *used]))
    with open_root(file.path) as directory:
        with reading(f"{file.path}:{file.tree}", "the tree cannot be read"):
            tree = directory[file.tree]
        done = 0
        for start, arrays in _arrays(tree, file, names, size):
            stop = start + len(arrays)
            where = f"{file.path}:{file.tree}"
            with reading(where, f"hits of entries {start}-{stop - 1} cannot be read"):
                columns = {name: _column(arrays, file, name) for name in branches}
                hits = _hits(arrays, file, parts, channels, (start, stop))
            for at in range(0, len(hits), size):
                yield _cut(start, columns, hits, at, at + size)
            done += len(hits)
    if done != file.entries:
        raise ReadError(
            f"{done} of {file.entries} entries could be read", where=f"{file.path}:{file.tree}"
        )


def _arrays(tree: Any, file: FileScan, names: list[str], size: int) -> Iterator[tuple[int, Any]]:
    wanted = set(names)
    if file.kind == "RNTuple":
        for start, stop in cluster_ranges(tree, file, size):
            with reading(f"{file.path}:{file.tree}", f"entries {start}-{stop - 1} cannot be read"):
                check_pages(tree, names, start, stop)
                arrays = tree.arrays(
                    filter_name=lambda name: name.split(".", 1)[0] in wanted,
                    entry_start=start,
                    entry_stop=stop,
                )
            yield start, arrays
        return
    chosen = {tree[name].cache_key for name in names}
    steps = tree.iterate(
        filter_branch=lambda branch: branch.cache_key in chosen, step_size=size, library="ak"
    )
    check = checked_baskets(tree, file, names)
    start = 0
    while True:
        stop = min(start + size, file.entries)
        check(start, stop)
        with reading(f"{file.path}:{file.tree}", f"entries {start}-{stop - 1} cannot be read"):
            arrays = next(steps, None)
        if arrays is None:
            return
        yield start, arrays
        start = stop


def _column(arrays: Any, file: FileScan, name: str) -> Any:
    values = to_column(file.branches[name], arrays[name])
    if problem := misread(file.branches[name], values):
        raise ReadError(problem, where=f"{file.path}:{file.tree}/{name}")
    return values


def _hits(
    arrays: Any,
    file: FileScan,
    parts: Mapping[str, str],
    channels: Sequence[str],
    entries: tuple[int, int],
) -> Hits:
    import awkward

    def flat(part: str, dtype: type) -> NDArray[Any]:
        name = parts[part]
        own = awkward.to_numpy(awkward.num(arrays[name]))
        if not np.array_equal(own, counts):
            row = int(np.flatnonzero(own != counts)[0])
            raise ReadError(
                f"has {own[row]} hits in entry {entries[0] + row}, {parts['view']} has "
                f"{counts[row]}",
                where=f"{file.path}:{file.tree}/{name}",
                mend="branches of hits run along",
            )
        values = awkward.to_numpy(awkward.flatten(arrays[name]), allow_missing=False)
        return np.asarray(values).astype(dtype)

    counts = awkward.to_numpy(awkward.num(arrays[parts["view"]])).astype(np.int64)
    view = flat("view", np.int64)
    if "plane" in parts:
        column = flat("plane", np.int64)
    else:  # a module is an X plane behind a U or V plane, which take turns
        column = flat("module", np.int64)
        column = np.where(view == 0, column, column // 2)
    values = {channel: flat(channel, np.float32) for channel in channels}
    return Hits(counts, view, column, flat("strip", np.int64), values)


def _cut(
    start: int, columns: Mapping[str, NDArray[Any]], hits: Hits, low: int, high: int
) -> tuple[RawBlock, Hits]:
    """Entries ``low`` to before ``high`` of what was read."""
    if low == 0 and high >= len(hits):
        return RawBlock(start, dict(columns)), hits
    ends = np.concatenate([[0], np.cumsum(hits.counts)])
    rows = slice(int(ends[low]), int(ends[min(high, len(hits))]))
    part = Hits(
        hits.counts[low:high],
        hits.view[rows],
        hits.column[rows],
        hits.strip[rows],
        {channel: values[rows] for channel, values in hits.values.items()},
    )
    return RawBlock(start + low, {n: v[low:high] for n, v in columns.items()}), part
