"""Raw columns to events: cut, features with their missing values, weight, label, identity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import SplitConfig
from ...errors import ReadError
from ...expressions import Expression
from ...tensors import Block, event_ids, split_of
from ..planning.columns import Columns
from ..planning.labels import to_labels
from ..planning.plan import Feature, Plan, SamplePlan
from ..prescan import FileScan
from .blocks import RawBlock
from .buffers import Empty
from .feature_values import feature_values, float32
from .objects import make_objects
from .summary import Accumulator
from .tiles import Tiles, compiled

__all__ = ["Events", "Shifted", "column_names", "feature_values", "make_events", "varied_features"]


_PLANES = "an unknown plane code is in no segment: cut it away, e.g. --cut 'planecode > 0'"
_TILE_VALUES = 1 << 18  # features are filled, counted and laid out in pieces that a cache holds
_FLOATS = np.dtype("<f4"), np.dtype(">f4")
Shifted = Callable[[NDArray[np.uint64]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Events:
    """What became of one raw block.

    Attributes:
        block: the events that passed.
        split: (n,) the split of each.
        statistics: of the features.
        passed: (entries,) which entries these are; ``None`` for all.
        left_out: (2,) entries outside of the lumi mask, and duplicates.
        truncated: of each collection, events with more objects than are kept.
    """

    block: Block
    split: NDArray[np.uint8]
    statistics: Accumulator
    passed: NDArray[np.bool_] | None
    left_out: NDArray[np.int64]
    truncated: dict[str, int]


def column_names(features: Sequence[Feature]) -> tuple[str, ...]:
    """Names of the columns of the tensor file: each feature, then its indicator if it has one."""
    return tuple(
        name
        for feature in features
        for name in (feature.name, f"{feature.name}_missing")[: 1 + feature.settings.indicator]
    )


def make_events(
    plan: Plan,
    sample: SamplePlan,
    file: FileScan,
    raw: RawBlock,
    classes: Sequence[str],
    split: SplitConfig,
    truth: NDArray[np.int64] | None = None,
    empty: Empty = np.empty,
    shifted: Mapping[str, Shifted] | None = None,
) -> Events:
    """Turn the entries of a raw block into events; a pure function, for any thread.

    Args:
        plan: the conversion.
        sample: the sample that the block belongs to.
        file: the file it was read from.
        raw: the entries.
        classes: class names by label.
        split: how events are split.
        truth: (n,) true class of each entry, of pseudo-data.
        empty: where the features go.
        shifted: gives the features of variations that have a tree of their own, by event id.

    Raises:
        ReadError: a weight that is not finite, a label that is no integer or has no class, or
            lists of objects that do not run along.
    """
    entries = (raw.start, raw.start + len(raw))
    arrays, views, size = dict(raw.columns), raw.views, len(raw)
    passed, left_out = sample.selection.passing(file, raw.start, arrays, size)
    if passed is not None:
        size = int(np.count_nonzero(passed))
        if size < len(raw):
            arrays = {name: values[passed] for name, values in arrays.items()}
            views = {name: images[passed] for name, images in views.items()}
            truth = None if truth is None else truth[passed]
    lookup = sample.columns.lookup(arrays)
    ids = event_ids(sample.source.config.name, [arrays[name] for name in sample.id_branches])
    splits = split_of(ids, split)
    if sample.split is not None:
        value = sample.split.evaluate(lookup, size)
        splits = np.select([value == 0, value == 1], [2, 1], 0).astype(np.uint8)
    features, statistics = _features(plan, sample, arrays, splits == 0, empty)
    spectators = np.full((size, len(plan.spectators)), np.nan, dtype=np.float32)
    for number, expression in enumerate(sample.spectators):
        if expression is not None:
            spectators[:, number] = float32(expression.evaluate(lookup, size))
    weight = _weight(sample.weight, sample, lookup, size, file, entries)
    if plan.features:
        statistics.weigh(features, weight)
    where = f"{file.path}:{file.tree}, entries {entries[0]}-{entries[1] - 1}"
    made = {one.collection.name: make_objects(one, arrays, size, where) for one in sample.objects}
    block = Block(
        features=features,
        spectators=spectators,
        weight=weight,
        sample=np.full(size, sample.index, dtype=np.uint16),
        event_id=ids,
        label=_label(sample, lookup, size, file, entries, classes),
        weights={
            name: weight if e is None else _weight(e, sample, lookup, size, file, entries)
            for name, e in sample.weights.items()
        },
        truth=None if truth is None else _in_classes(truth, "true label", file, entries, classes),
        views=views,
        objects={name: objects for name, (objects, _) in made.items()},
        variations=_varied(plan, sample, arrays, ids, features, shifted or {}),
    )
    truncated = {name: count for name, (_, count) in made.items()}
    return Events(block, splits, statistics, passed, left_out, truncated)


def _varied(
    plan: Plan,
    sample: SamplePlan,
    arrays: Mapping[str, NDArray[Any]],
    ids: NDArray[np.uint64],
    nominal: NDArray[np.float32],
    shifted: Mapping[str, Shifted],
) -> dict[str, NDArray[np.float32]]:
    """The features of each variation; events of the detector have their own in all."""
    varied = {}
    for name in plan.variations if sample.source.domain == "mc" else ():
        variation = sample.variations.get(name)
        if name in shifted:
            varied[name] = shifted[name](ids)
        elif variation is None:
            varied[name] = nominal
        else:
            varied[name] = varied_features(variation.features, sample.columns, arrays, len(ids))
    return varied


def varied_features(
    features: Sequence[Feature], columns: Columns, arrays: Mapping[str, NDArray[Any]], size: int
) -> NDArray[np.float32]:
    """(n, columns) features as the tensor file has them, without statistics.

    Args:
        features: with their expressions.
        columns: what the branches offer.
        arrays: the branches that are read.
        size: number of events.
    """
    values = []
    for feature in features:
        column, _ = feature_values(feature, columns, arrays, size)
        column[~np.isfinite(column)] = np.nan
        values += [column, np.isnan(column)][: 1 + feature.settings.indicator]
    return np.stack(values, axis=1).astype(np.float32)


def _features(
    plan: Plan,
    sample: SamplePlan,
    arrays: Mapping[str, NDArray[Any]],
    train: NDArray[np.bool_],
    empty: Empty,
) -> tuple[NDArray[np.float32], Accumulator]:
    """The (n, columns) features and their statistics."""
    names = [feature.name for feature in plan.features]
    size, columns = len(train), column_names(plan.features)
    features = empty((size, len(columns)), np.float32)
    indicators = [feature.settings.indicator for feature in plan.features]
    statistics = Accumulator(sample.source.domain, names, indicators)
    if not names:  # the events are images
        return features, statistics
    copied, computed = _by_kind(plan.features, sample.columns, arrays, size)
    step = min(max(_TILE_VALUES // len(names), 512), 1 << 14)
    if compiled() and not computed:
        step = max(size, 1)  # it takes care of the cache itself
    tiles = Tiles(indicators, step)
    in_train = train.astype(np.float64)
    for start in range(0, size, step):
        stop = min(start + step, size)
        missing = np.zeros(len(names), np.int64)
        rows = {row: _asfloat32(values[start:stop]) for row, values in copied.items()}
        part = {name: values[start:stop] for name, values in arrays.items()} if computed else {}
        for row in computed:
            rows[row], missing[row] = feature_values(
                plan.features[row], sample.columns, part, stop - start
            )
        ordered = [rows[row] for row in range(len(names))]
        figures = tiles.lay_out(ordered, in_train[start:stop], features[start:stop])
        statistics.add(figures, stop - start, missing)
    return features, statistics


def _by_kind(
    features: Sequence[Feature], columns: Columns, arrays: Mapping[str, NDArray[Any]], size: int
) -> tuple[dict[int, NDArray[Any]], list[int]]:
    """Features that are columns as they are, with these; and the numbers of all others."""
    copied, computed, lookup = {}, [], columns.lookup(arrays)
    for row, feature in enumerate(features):
        expression = feature.expression
        lists = any(columns.absent(name, arrays) is not None for name in expression.names)
        if expression.is_name and feature.settings.missing is None and not lists:
            copied[row] = expression.evaluate(lookup, size)
        else:
            computed.append(row)
    return copied, computed


def _asfloat32(values: NDArray[Any]) -> NDArray[np.float32]:
    """Contiguous float32 in either byte order; what is that already is not copied."""
    if values.dtype in _FLOATS and values.flags.c_contiguous:
        return values
    return float32(values)


def _weight(
    expression: Expression | None,
    sample: SamplePlan,
    lookup: Callable[[str], NDArray[Any]],
    size: int,
    file: FileScan,
    entries: tuple[int, int],
) -> NDArray[np.float32]:
    scale = sample.source.config.scale
    if expression is None:
        return np.full(size, scale, dtype=np.float32)
    weight = float32(expression.evaluate(lookup, size).astype(np.float64) * scale)
    if not np.isfinite(weight).all():
        raise ReadError(
            f"{expression.where} is not finite in {np.count_nonzero(~np.isfinite(weight))} of the "
            f"entries {entries[0]}-{entries[1] - 1}",
            where=f"{file.path}:{file.tree}",
            mend=f"cut these entries away, e.g. --cut 'isfinite({expression.text})'",
        )
    return weight


def _label(
    sample: SamplePlan,
    lookup: Callable[[str], NDArray[Any]],
    size: int,
    file: FileScan,
    entries: tuple[int, int],
    classes: Sequence[str],
) -> NDArray[np.int32] | None:
    if sample.source.domain == "data":
        return None
    if sample.label is None:
        return np.full(size, classes.index(str(sample.class_)), dtype=np.int32)
    values = to_labels(sample.label.evaluate(lookup, size), sample.label.text, file, entries)
    return _in_classes(values, f"label '{sample.label.text}'", file, entries, classes)


def _in_classes(
    values: NDArray[np.int64],
    what: str,
    file: FileScan,
    entries: tuple[int, int],
    classes: Sequence[str],
) -> NDArray[np.int32]:
    bad = (values < 0) | (values >= len(classes))
    if bad.any():
        raise ReadError(
            f"{what} is {values[bad][0]} in entries {entries[0]}-{entries[1] - 1}, there are "
            f"classes 0 to {len(classes) - 1} ({', '.join(classes)})",
            where=f"{file.path}:{file.tree}",
            mend=_PLANES
            if "segment(" in what
            else "list all classes in convert.classes, or cut these events away",
        )
    return values.astype(np.int32)
