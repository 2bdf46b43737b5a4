"""What is in a tensor file, in numbers: events, weights and the range of every column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .domains import SPLITS
from .reader import Tensors
from .view_summary import ChannelSummary, summarise_views

__all__ = ["ColumnSummary", "Count", "DomainSummary", "count_of", "summarise", "yield_ratio"]


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
        math.hypot(*(count.error for count in splits.values())),
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
