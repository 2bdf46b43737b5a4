"""What is in the images of a tensor file, in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .layout import View
from .reader import Tensors

__all__ = ["ChannelSummary", "ViewCounter", "summarise_views"]

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


class ViewCounter:
    """Counts what is in images, fed block by block.

    Args:
        views: what they are.

    Attributes:
        events: how many were counted.
        empty: events in which every pixel of every view is 0.
    """

    def __init__(self, views: Sequence[View]) -> None:
        self.views = tuple(views)
        self.events = self.empty = 0
        self._parts = {view.name: _Channels(view.channels) for view in views}

    def add(self, images: Mapping[str, NDArray[np.float32]]) -> None:
        """Count images by view, each (n, C, H, W)."""
        hits = np.stack([part.add(images[name]) for name, part in self._parts.items()])
        self.events += hits.shape[1]
        self.empty += int((hits.sum(axis=0) == 0).sum())

    def merge(self, other: ViewCounter) -> None:
        """Add what another one has counted."""
        self.events += other.events
        self.empty += other.empty
        for name, part in self._parts.items():
            part.merge(other._parts[name])

    def summary(self) -> tuple[ChannelSummary, ...]:
        """One summary a channel of each view."""
        return tuple(
            self._parts[view.name].summary(view, index, self.events)
            for view in self.views
            for index in range(view.channels)
        )


class _Channels:
    """The channels of one view."""

    def __init__(self, channels: int) -> None:
        self.low, self.high = np.full(channels, np.inf), np.full(channels, -np.inf)
        self.total = np.zeros(channels)
        self.hits, self.empty, self.nonfinite = np.zeros((3, channels), np.int64)

    def add(self, images: NDArray[np.float32]) -> NDArray[np.int64]:
        """Count (n, C, H, W) images; returns the pixels of each event that are not 0."""
        if not len(images):
            return np.zeros(0, np.int64)
        count, channels, *area = images.shape
        place = np.flatnonzero(images != 0)  # sparse: what follows is short
        values = images.reshape(-1)[place].astype(np.float64)
        image = place // int(np.prod(area))
        hits = np.bincount(image, minlength=count * channels).reshape(count, channels)
        for channel in range(channels):
            mine = values[image % channels == channel]
            finite = mine[np.isfinite(mine)]
            zero = [0.0] if len(mine) < count * np.prod(area) else []
            extremes = [*zero, *([finite.min(), finite.max()] if len(finite) else [])]
            if extremes:
                self.low[channel] = min(self.low[channel], *extremes)
                self.high[channel] = max(self.high[channel], *extremes)
            self.total[channel] += finite.sum()
            self.nonfinite[channel] += len(mine) - len(finite)
        self.hits += hits.sum(axis=0)
        self.empty += (hits == 0).sum(axis=0)
        return np.asarray(hits.sum(axis=1), np.int64)

    def merge(self, other: _Channels) -> None:
        self.low = np.minimum(self.low, other.low)
        self.high = np.maximum(self.high, other.high)
        self.total += other.total
        self.hits += other.hits
        self.empty += other.empty
        self.nonfinite += other.nonfinite

    def summary(self, view: View, index: int, events: int) -> ChannelSummary:
        low, high = float(self.low[index]), float(self.high[index])
        good = int(self.hits[index] - self.nonfinite[index])
        return ChannelSummary(
            view=view.name,
            channel=view.channel_names[index] if view.channel_names else str(index),
            minimum=low if np.isfinite(low) else None,
            maximum=high if np.isfinite(high) else None,
            mean=float(self.total[index] / good) if good else None,
            hits=float(self.hits[index] / events) if events else None,
            empty=int(self.empty[index]),
            nonfinite=int(self.nonfinite[index]),
        )


def summarise_views(tensors: Tensors, domain: str) -> tuple[ChannelSummary, ...]:
    """Summarise the images of a domain in one pass and constant memory.

    Raises:
        SchemaError: the file does not hold the domain, or its images are damaged.
    """
    if not tensors.views:
        return ()
    counter = ViewCounter(tensors.views)
    with tensors.view_reader(domain) as reader:
        for start in range(0, tensors.rows(domain), _ROWS):
            counter.add(reader.read(slice(start, start + _ROWS)))
    return counter.summary()
