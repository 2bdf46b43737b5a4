"""Summary of a tensor file: events, weights, the range of every column and image channel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .hdf5.checksums import TILE_ROWS
from .layout import View
from .objects import ObjectCounter, ObjectSummary
from .reader import Tensors
from .source_and_target import SPLITS

_ROWS = 512  # images at a time


@dataclass(frozen=True)
class Count:
    """Events and the sum of their weights, with its statistical error √Σw²."""

    events: int
    sum_weight: float
    error: float


def count_of(events: int, sum_weight: float, sum_weight2: float) -> Count:
    """The count with a sum of weights and of their squares."""
    return Count(int(events), float(sum_weight), math.sqrt(sum_weight2))


def yield_ratio(data: Count, mc: Count) -> tuple[float, float] | None:
    """Data over MC with the statistical error of both; ``None`` where one is not positive."""
    if data.sum_weight <= 0 or mc.sum_weight <= 0:
        return None
    ratio = data.sum_weight / mc.sum_weight
    return ratio, ratio * math.hypot(data.error / data.sum_weight, mc.error / mc.sum_weight)


@dataclass(frozen=True)
class ColumnSummary:
    """The values of one feature or spectator.

    Attributes:
        name: of the column.
        minimum: smallest finite value; ``None`` if there is none. Likewise the others.
        maximum: largest finite value.
        mean: of the finite values, by weight; ``None`` also where these weights do not add up to
            more than 0.
        missing: events where it is NaN.
        infinite: events where it is infinite.
    """

    name: str
    minimum: float | None
    maximum: float | None
    mean: float | None
    missing: int
    infinite: int


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
        # of finite pixels; hits, empty images and pixels that are not finite
        self.total, self.counts = np.zeros(channels), np.zeros((3, channels), np.int64)

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
            of_channel = values[image % channels == channel]
            finite = of_channel[np.isfinite(of_channel)]
            zero = [0.0] if len(of_channel) < count * np.prod(area) else []
            extremes = [*zero, *([finite.min(), finite.max()] if len(finite) else [])]
            if extremes:
                self.low[channel] = min(self.low[channel], *extremes)
                self.high[channel] = max(self.high[channel], *extremes)
            self.total[channel] += finite.sum()
            self.counts[2, channel] += len(of_channel) - len(finite)
        self.counts[:2] += hits.sum(axis=0), (hits == 0).sum(axis=0)
        return np.asarray(hits.sum(axis=1), np.int64)

    def merge(self, other: _Channels) -> None:
        self.low = np.minimum(self.low, other.low)
        self.high = np.maximum(self.high, other.high)
        self.total += other.total
        self.counts += other.counts

    def summary(self, view: View, index: int, events: int) -> ChannelSummary:
        low, high = float(self.low[index]), float(self.high[index])
        hits, empty, nonfinite = (int(count) for count in self.counts[:, index])
        good = hits - nonfinite
        return ChannelSummary(
            view=view.name,
            channel=view.channel_names[index] if view.channel_names else str(index),
            minimum=low if np.isfinite(low) else None,
            maximum=high if np.isfinite(high) else None,
            mean=float(self.total[index] / good) if good else None,
            hits=hits / events if events else None,
            empty=empty,
            nonfinite=nonfinite,
        )


def _summarise_views(tensors: Tensors, domain: str) -> tuple[ChannelSummary, ...]:
    """Summarise the images of a domain in one pass and constant memory."""
    if not tensors.views:
        return ()
    counter = ViewCounter(tensors.views)
    with tensors.view_reader(domain) as reader:
        for start in range(0, tensors.rows(domain), _ROWS):
            counter.add(reader.read(slice(start, start + _ROWS)))
    return counter.summary()


@dataclass(frozen=True)
class DomainSummary:
    """One domain.

    Attributes:
        total: all events.
        splits: by split name.
        samples: by sample name.
        classes: by class name; empty for data.
        features: one summary each, in order.
        spectators: likewise.
        images: one summary a channel of each view; empty if the events have no images.
        objects: one summary a feature of each collection; empty if the events have no objects.
    """

    total: Count
    splits: dict[str, Count]
    samples: dict[str, Count]
    classes: dict[str, Count]
    features: tuple[ColumnSummary, ...]
    spectators: tuple[ColumnSummary, ...]
    images: tuple[ChannelSummary, ...] = ()
    objects: tuple[ObjectSummary, ...] = ()


def summarise_domain(tensors: Tensors, domain: str) -> DomainSummary:
    """Summarise a domain in one pass and constant memory.

    Raises:
        SchemaError: the file does not hold the domain.
    """
    splits = _count(tensors, domain, "split", SPLITS)
    total = Count(
        sum(count.events for count in splits.values()),
        sum(count.sum_weight for count in splits.values()),
        math.hypot(*(count.error for count in splits.values())),
    )
    return DomainSummary(
        total=total,
        splits=splits,
        samples=_count(tensors, domain, "sample", tensors.samples[domain]),
        classes=_count(tensors, domain, "label", tensors.classes) if domain == "mc" else {},
        features=_ranges(tensors, domain, "features", tensors.features),
        spectators=_ranges(tensors, domain, "spectators", tensors.spectators),
        images=_summarise_views(tensors, domain),
        objects=_summarise_objects(tensors, domain),
    )


def _summarise_objects(tensors: Tensors, domain: str) -> tuple[ObjectSummary, ...]:
    """Summarise the objects of a domain in one pass and constant memory."""
    if not tensors.objects:
        return ()
    counter, rows = ObjectCounter(tensors.objects), np.arange(tensors.rows(domain))
    with tensors.object_reader(domain) as reader:
        for start in range(0, len(rows), TILE_ROWS):
            parts = reader.events(rows[start : start + TILE_ROWS]).parts
            counter.add({one.name: p for one, p in zip(tensors.objects, parts, strict=True)})
    return counter.summary()


def _count(tensors: Tensors, domain: str, name: str, keys: Sequence[str]) -> dict[str, Count]:
    events = np.zeros(len(keys), dtype=np.int64)
    weights = np.zeros((2, len(keys)))
    for index, weight in zip(
        tensors._tiles(domain, name), tensors.tiles(domain, "weight"), strict=True
    ):
        known = index[index < len(keys)].astype(np.intp)
        events += np.bincount(known, minlength=len(keys))
        kept = weight[index < len(keys)].astype(np.float64)
        for row, powers in zip(weights, (kept, kept**2), strict=True):
            row += np.bincount(known, powers, minlength=len(keys))
    return {key: count_of(*figures) for key, *figures in zip(keys, events, *weights, strict=True)}


def _ranges(
    tensors: Tensors, domain: str, name: str, columns: Sequence[str]
) -> tuple[ColumnSummary, ...]:
    size = len(columns)
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    total, sum_weight = np.zeros(size), np.zeros(size)
    finite_count = np.zeros(size, dtype=np.int64)
    missing, infinite = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for tile, weight in zip(
        tensors.tiles(domain, name), tensors.tiles(domain, "weight"), strict=True
    ):
        finite = np.isfinite(tile)
        low = np.minimum(low, tile.min(axis=0, where=finite, initial=np.inf))
        high = np.maximum(high, tile.max(axis=0, where=finite, initial=-np.inf))
        wide = weight.astype(np.float64)
        total += np.einsum("n,nf->f", wide, np.where(finite, tile, 0))
        sum_weight += np.einsum("n,nf->f", wide, finite)
        finite_count += finite.sum(axis=0)
        missing += np.isnan(tile).sum(axis=0)
        infinite += np.isinf(tile).sum(axis=0)

    def value(values: NDArray[Any], index: int) -> float | None:
        return float(values[index]) if finite_count[index] else None

    return tuple(
        ColumnSummary(
            column,
            value(low, index),
            value(high, index),
            float(total[index] / sum_weight[index]) if sum_weight[index] > 0 else None,
            int(missing[index]),
            int(infinite[index]),
        )
        for index, column in enumerate(columns)
    )
