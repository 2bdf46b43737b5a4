"""What is in a tensor file, in numbers: events, weights and the range of every column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .domains import SPLITS
from .reader import Tensors
from .view_summary import ChannelSummary, summarise_views

__all__ = ["ColumnSummary", "Count", "DomainSummary", "summarise"]


@dataclass(frozen=True)
class Count:
    """Events and the sum of their weights."""

    events: int
    sum_weight: float


@dataclass(frozen=True)
class ColumnSummary:
    """The values of one feature or spectator.

    Attributes:
        name: of the column.
        minimum: smallest finite value; ``None`` if there is none. Likewise the others.
        maximum: largest finite value.
        mean: unweighted, of the finite values.
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
    """

    total: Count
    splits: dict[str, Count]
    samples: dict[str, Count]
    classes: dict[str, Count]
    features: tuple[ColumnSummary, ...]
    spectators: tuple[ColumnSummary, ...]
    images: tuple[ChannelSummary, ...] = ()


def summarise(tensors: Tensors, domain: str) -> DomainSummary:
    """Summarise a domain in one pass and constant memory.

    Raises:
        SchemaError: the file does not hold the domain.
    """
    splits = _count(tensors, domain, "split", SPLITS)
    total = Count(
        sum(count.events for count in splits.values()),
        sum(count.sum_weight for count in splits.values()),
    )
    return DomainSummary(
        total=total,
        splits=splits,
        samples=_count(tensors, domain, "sample", tensors.samples[domain]),
        classes=_count(tensors, domain, "label", tensors.classes) if domain == "mc" else {},
        features=_ranges(tensors, domain, "features", tensors.features),
        spectators=_ranges(tensors, domain, "spectators", tensors.spectators),
        images=summarise_views(tensors, domain),
    )


def _count(tensors: Tensors, domain: str, name: str, keys: Sequence[str]) -> dict[str, Count]:
    events = np.zeros(len(keys), dtype=np.int64)
    weights = np.zeros(len(keys))
    for index, weight in zip(
        tensors._tiles(domain, name), tensors.tiles(domain, "weight"), strict=True
    ):
        known = index[index < len(keys)].astype(np.intp)
        events += np.bincount(known, minlength=len(keys))
        weights += np.bincount(known, weight[index < len(keys)], minlength=len(keys))
    return {
        key: Count(int(count), float(total))
        for key, count, total in zip(keys, events, weights, strict=True)
    }


def _ranges(
    tensors: Tensors, domain: str, name: str, columns: Sequence[str]
) -> tuple[ColumnSummary, ...]:
    size = len(columns)
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    total, finite_count = np.zeros(size), np.zeros(size, dtype=np.int64)
    missing, infinite = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for tile in tensors.tiles(domain, name):
        finite = np.isfinite(tile)
        low = np.minimum(low, tile.min(axis=0, where=finite, initial=np.inf))
        high = np.maximum(high, tile.max(axis=0, where=finite, initial=-np.inf))
        total += tile.sum(axis=0, where=finite, dtype=np.float64)
        finite_count += finite.sum(axis=0)
        missing += np.isnan(tile).sum(axis=0)
        infinite += np.isinf(tile).sum(axis=0)

    def value(values: NDArray[Any], index: int) -> float | None:
        return float(values[index]) if finite_count[index] else None

    mean = total / np.maximum(finite_count, 1)
    return tuple(
        ColumnSummary(
            column,
            value(low, index),
            value(high, index),
            value(mean, index),
            int(missing[index]),
            int(infinite[index]),
        )
        for index, column in enumerate(columns)
    )
