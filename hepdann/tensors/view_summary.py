"""What is in the images of a tensor file, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .reader import Tensors

__all__ = ["ChannelSummary", "summarise_views"]

_ROWS = 512  # images at a time


@dataclass(frozen=True)
class ChannelSummary:
    """One channel of one view.

    Attributes:
        view: its name.
        channel: the channel's name, or its number.
        minimum: smallest finite pixel; ``None`` if there is no event. Likewise the largest.
        maximum: largest finite pixel.
        mean: mean of the finite pixels that are not zero; ``None`` if there is none.
        hits: pixels that are not zero, an event.
        empty: images in which all pixels are zero.
        nonfinite: pixels that are NaN or infinite.
    """

    view: str
    channel: str
    minimum: float | None
    maximum: float | None
    mean: float | None
    hits: float | None
    empty: int
    nonfinite: int


class _Counter:
    def __init__(self, channels: int) -> None:
        self.low, self.high = np.full(channels, np.inf), np.full(channels, -np.inf)
        self.total = np.zeros(channels)
        self.hits, self.empty, self.nonfinite = np.zeros((3, channels), np.int64)

    def add(self, images: NDArray[np.float32]) -> None:
        """Count (n, C, H, W) images."""
        axes = (0, 2, 3)
        low, high = images.min(axis=axes), images.max(axis=axes)
        bad = np.zeros(len(low), np.int64)
        finite: Any = True
        if not (np.isfinite(low) & np.isfinite(high)).all():
            finite = np.isfinite(images)
            bad = images[:, 0].size - finite.sum(axis=axes)
            low = images.min(axis=axes, where=finite, initial=np.inf)
            high = images.max(axis=axes, where=finite, initial=-np.inf)
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        self.total += images.sum(axis=axes, where=finite, dtype=np.float64)
        hits = np.count_nonzero(images, axis=(2, 3))
        self.hits += hits.sum(axis=0)
        self.empty += (hits == 0).sum(axis=0)
        self.nonfinite += bad


def summarise_views(tensors: Tensors, domain: str) -> tuple[ChannelSummary, ...]:
    """Summarise the images of a domain in one pass and constant memory.

    Raises:
        SchemaError: the file does not hold the domain, or its images are damaged.
    """
    if not tensors.views:
        return ()
    counters = {view.name: _Counter(view.channels) for view in tensors.views}
    rows = tensors.rows(domain)
    with tensors.view_reader(domain) as reader:
        for start in range(0, rows, _ROWS):
            for name, images in reader.read(slice(start, start + _ROWS)).items():
                counters[name].add(images)
    summaries = []
    for view in tensors.views:
        names = view.channel_names or tuple(str(number) for number in range(view.channels))
        found = counters[view.name]
        for index, name in enumerate(names):
            good = int(found.hits[index] - found.nonfinite[index])
            summaries.append(
                ChannelSummary(
                    view=view.name,
                    channel=name,
                    minimum=float(found.low[index]) if np.isfinite(found.low[index]) else None,
                    maximum=float(found.high[index]) if np.isfinite(found.high[index]) else None,
                    mean=float(found.total[index] / good) if good else None,
                    hits=float(found.hits[index] / rows) if rows else None,
                    empty=int(found.empty[index]),
                    nonfinite=int(found.nonfinite[index]),
                )
            )
    return tuple(summaries)
