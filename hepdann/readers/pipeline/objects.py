"""Lists to objects: cut, order, features; nothing is padded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...tensors import Jagged
from ..planning.columns import Columns
from ..planning.objects import ObjectPlan
from ..prescan import Branch
from .feature_values import feature_values


def make_objects(
    plan: ObjectPlan, arrays: Mapping[str, Any], size: int, where: str
) -> tuple[Jagged, int]:
    """The objects of some events, and how many of the events have more than are kept.

    Args:
        plan: of the collection.
        arrays: of the branches that are read, as :class:`.RawBlock` has them.
        size: number of events.
        where: what to name in an error.

    Raises:
        ReadError: lists of the same objects have different lengths.
    """
    counts = _counts(plan, arrays, where)
    event = np.repeat(np.arange(size), counts)
    lookup, columns = plan.columns.lookup(arrays), {}
    for name in plan.names:
        values = lookup(name)
        if values.ndim:  # no constant
            columns[name] = values if plan.columns.is_list(name) else values[event]
    chosen: NDArray[Any] | None = None
    if plan.cut is not None:
        chosen = np.flatnonzero(plan.cut.condition(columns.__getitem__, len(event)))
        columns, event = {n: v[chosen] for n, v in columns.items()}, event[chosen]
    if plan.sort is not None:
        key = plan.sort.evaluate(columns.__getitem__, len(event)).astype(np.float64)
        order = np.lexsort((-key if plan.descending else key, event))
        columns, event = {n: v[order] for n, v in columns.items()}, event[order]
    counts, most = np.bincount(event, minlength=size), plan.collection.most
    truncated = int(np.count_nonzero(counts > most))
    if truncated:
        first = np.arange(len(event)) - np.repeat(np.cumsum(counts) - counts, counts) < most
        columns, event = {n: v[first] for n, v in columns.items()}, event[first]
        counts = np.minimum(counts, most)
    flat = Columns(
        {name: Branch(name, "", values.dtype) for name, values in columns.items()},
        {name: (name, ()) for name in columns},
    )
    values = np.empty((len(event), len(plan.features)), np.float32)
    for number, feature in enumerate(plan.features):
        values[:, number], _ = feature_values(feature, flat, columns, len(event))
    values[~np.isfinite(values)] = np.nan
    return Jagged.of(values, counts), truncated


def _counts(plan: ObjectPlan, arrays: Mapping[str, Any], where: str) -> NDArray[np.int64]:
    import awkward

    first, *others = plan.lists
    counts: NDArray[np.int64] = awkward.to_numpy(awkward.num(arrays[first])).astype(np.int64)
    for name in others:
        lengths = awkward.to_numpy(awkward.num(arrays[name]))
        if not np.array_equal(lengths, counts):
            row = int(np.flatnonzero(lengths != counts)[0])
            raise ReadError(
                f"{name} has {lengths[row]} numbers in an event, {first} has {counts[row]}",
                where=where,
                mend=f"lists of the objects '{plan.collection.name}' run along: name those that do",
            )
    return counts
