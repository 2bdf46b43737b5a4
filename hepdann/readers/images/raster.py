"""Hits of events, in one long row, to images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...tensors import View


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
