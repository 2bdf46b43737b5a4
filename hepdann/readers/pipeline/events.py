"""Raw columns to events: cut, features and objects, missing values, weight, label, identity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, ReadError
from ...expressions import Expression
from ...tensors import Block, Jagged, event_ids, split_of
from ..planning.columns import Columns
from ..planning.features import Feature, ObjectPlan
from ..planning.labels import to_labels
from ..planning.plan import Plan, SamplePlan
from ..prescan import Branch, FileScan
from .blocks import Empty, RawBlock
from .summary import Accumulator, Tiles, compiled

_PLANES = "an unknown plane code is in no segment: cut it away, e.g. --cut 'planecode > 0'"
_PLACE = ""  # which no branch is called
_TILE_VALUES = 1 << 18  # features are filled, counted and laid out in pieces that a cache holds
_FLOATS = np.dtype("<f4"), np.dtype(">f4")
Shifted = Callable[[NDArray[np.uint64]], NDArray[np.float32]]


def float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """A copy in float32; what is too large becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(values, dtype=np.float32)


def _is_sentinel(values: NDArray[Any], sentinel: float) -> NDArray[np.bool_]:
    """Where a value is the sentinel, as the branch's own type holds it (-999.9 is no float32)."""
    if np.isnan(sentinel):
        return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)
    with np.errstate(over="ignore"):
        typed = values.dtype.type(sentinel) if values.dtype.kind == "f" else sentinel
    result: NDArray[np.bool_] = values == typed
    return result


def _feature_values(
    feature: Feature,
    columns: Columns,
    arrays: Mapping[str, NDArray[Any]],
    size: int,
) -> tuple[NDArray[np.float32], int]:
    """The values, with NaN for missing ones, and how many these are."""
    sentinel = feature.settings.missing
    plain = columns.lookup(arrays)
    missing = np.zeros(size, dtype=np.bool_)

    def masked(name: str) -> NDArray[Any]:
        # the sentinel in an operand: -999 GeV must not take part in arithmetic
        operand, absent = plain(name), columns.absent(name, arrays)
        if absent is not None:
            missing[absent] = True
        if sentinel is None or operand.shape != (size,):
            return operand
        is_missing = _is_sentinel(operand, sentinel)
        if not is_missing.any():
            return operand
        missing[is_missing] = True
        real = operand.astype(np.float64)
        real[is_missing] = np.nan
        return real

    result = feature.expression.evaluate(masked, size)
    values = float32(result)
    missing &= np.isnan(values)
    if sentinel is not None:
        missing |= _is_sentinel(result, sentinel)
    values[missing] = np.nan
    return values, int(np.count_nonzero(missing))


def _make_objects(
    plan: ObjectPlan, arrays: Mapping[str, Any], size: int, where: str
) -> tuple[Jagged, int]:
    """The objects of some events, and how many of the events have more than are kept."""
    counts = _counts(plan, arrays, where)
    event = np.repeat(np.arange(size), counts)
    lookup, columns = plan.columns.lookup(arrays), {}
    for name in plan.names:
        values = lookup(name)
        if values.ndim:  # no constant
            columns[name] = values if plan.columns.is_list(name) else values[event]
    listed = None
    if plan.values:
        listed = counts.astype(np.int32)
        columns[_PLACE] = np.arange(len(event)) - np.repeat(np.cumsum(counts) - counts, counts)
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
        values[:, number], _ = _feature_values(feature, flat, columns, len(event))
    values[~np.isfinite(values)] = np.nan
    made = Jagged.of(values, counts, _numbers(plan, columns, len(event)))
    return replace(made, listed=listed), truncated


def _numbers(
    plan: ObjectPlan, columns: Mapping[str, NDArray[Any]], size: int
) -> dict[str, NDArray[np.int32]]:
    """Class and place of each object, where a collection has classes."""
    if not plan.values:
        return {}
    label = np.full(size, -1, np.int32)
    if plan.label is not None:
        given = plan.label.evaluate(columns.__getitem__, size)
        for number, values in enumerate(plan.values):
            label[np.isin(given, values)] = number
    return {"label": label, "place": columns[_PLACE].astype(np.int32)}


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


@dataclass(frozen=True, eq=False)
class MadeEvents:
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
    truth: NDArray[np.int64] | None = None,
    empty: Empty = np.empty,
    shifted: Mapping[str, Shifted] | None = None,
) -> MadeEvents:
    """Turn the entries of a raw block into events; a pure function, for any thread.

    Args:
        plan: the conversion.
        sample: the sample that the block belongs to.
        file: the file it was read from.
        raw: the entries.
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
    splits = split_of(ids, plan.config.convert.split)
    if sample.split is not None:
        value = sample.split.evaluate(lookup, size)
        if (broken := value % 1 != 0).any():
            raise ConfigError(
                f"gives {value[broken][0]:g}, and splits are whole numbers",
                where=sample.split.where,
                mend="take a remainder, such as event % 5",
            )
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
    made = {one.collection.name: _make_objects(one, arrays, size, where) for one in sample.objects}
    truth_label = None
    if truth is not None:
        truth_label = _in_classes(truth, "true label", file, entries, plan.classes)
    block = Block(
        features=features,
        spectators=spectators,
        weight=weight,
        sample=np.full(size, sample.index, dtype=np.uint16),
        event_id=ids,
        label=_label(sample, lookup, size, file, entries, plan.classes),
        weights={
            name: weight if e is None else _weight(e, sample, lookup, size, file, entries)
            for name, e in sample.weights.items()
        },
        truth=truth_label,
        views=views,
        objects={name: objects for name, (objects, _) in made.items()},
        variations=_varied(plan, sample, arrays, ids, features, shifted or {}),
    )
    truncated = {name: count for name, (_, count) in made.items()}
    return MadeEvents(block, splits, statistics, passed, left_out, truncated)


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
        column, _ = _feature_values(feature, columns, arrays, size)
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
            rows[row], missing[row] = _feature_values(
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
