"""Raw columns to events: cut, features with their missing values, weight, label, identity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ReadError
from ..tensors import Block, event_ids
from .blocks import RawBlock
from .columns import Columns
from .expressions import Expression
from .labels import to_labels
from .plan import Feature, Plan, SamplePlan
from .scan import FileScan

__all__ = ["Events", "column_names", "make_events"]


@dataclass(frozen=True, eq=False)
class Events:
    """What became of one raw block.

    Attributes:
        block: the events that passed.
        missing: (F,) how many values carried the sentinel, per feature (indicators not counted).
        nonfinite: (F,) how many other values are NaN or infinite.
    """

    block: Block
    missing: NDArray[np.int64]
    nonfinite: NDArray[np.int64]


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
    truth: NDArray[np.int64] | None = None,
) -> Events:
    """Turn the entries of a raw block into events.

    Args:
        plan: the conversion.
        sample: the sample that the block belongs to.
        file: the file it was read from.
        raw: the entries.
        classes: class names by label.
        truth: (n,) true class of each entry, of pseudo-data.

    Raises:
        ReadError: a weight that is not finite, a label that is no integer or has no class.
    """
    entries = (raw.start, raw.start + len(raw))
    arrays, size = dict(raw.columns), len(raw)
    if sample.cut is not None:
        passed = sample.cut.condition(sample.columns.lookup(arrays), size)
        size = int(np.count_nonzero(passed))
        if size < len(raw):
            arrays = {name: values[passed] for name, values in arrays.items()}
            truth = None if truth is None else truth[passed]
    lookup = sample.columns.lookup(arrays)
    features = np.empty((size, len(column_names(plan.features))), dtype=np.float32)
    counts = np.zeros((2, len(plan.features)), dtype=np.int64)
    at = 0
    for number, feature in enumerate(plan.features):
        values, missing = _feature(feature, sample.columns, arrays, size)
        invalid = ~np.isfinite(values)
        values[invalid] = np.nan
        counts[:, number] = np.count_nonzero(missing), np.count_nonzero(invalid & ~missing)
        features[:, at] = values
        at += 1
        if feature.settings.indicator:
            features[:, at] = invalid
            at += 1
    spectators = np.full((size, len(plan.spectators)), np.nan, dtype=np.float32)
    for number, expression in enumerate(sample.spectators):
        if expression is not None:
            spectators[:, number] = _float32(expression.evaluate(lookup, size))
    weight = _weight(sample.weight, sample, lookup, size, file, entries)
    names = sample.id_branches
    block = Block(
        features=features,
        spectators=spectators,
        weight=weight,
        sample=np.full(size, sample.index, dtype=np.uint16),
        event_id=event_ids(sample.source.config.name, [arrays[name] for name in names]),
        label=_label(sample, lookup, size, file, entries, classes),
        weights={
            name: weight if e is None else _weight(e, sample, lookup, size, file, entries)
            for name, e in sample.weights.items()
        },
        truth=None if truth is None else _in_classes(truth, "true label", file, entries, classes),
    )
    return Events(block, counts[0], counts[1])


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
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


def _feature(
    feature: Feature, columns: Columns, arrays: dict[str, NDArray[Any]], size: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The values with NaN for missing ones, and which are missing."""
    sentinel = feature.settings.missing
    missing = np.zeros(size, dtype=np.bool_)
    plain = columns.lookup(arrays)

    def masked(name: str) -> NDArray[Any]:
        # the sentinel in an operand: -999 GeV must not take part in arithmetic
        values = plain(name)
        if sentinel is None or values.shape != (size,):
            return values
        here = _is_sentinel(values, sentinel)
        if not here.any():
            return values
        missing[here] = True
        real = values.astype(np.float64)
        real[here] = np.nan
        return real

    if feature.expression.is_name:
        raw = feature.expression.evaluate(plain, size)
        if sentinel is not None:
            missing = _is_sentinel(raw, sentinel)
        values = _float32(raw)
    else:
        result = feature.expression.evaluate(masked, size)
        values = _float32(result)
        missing &= np.isnan(values)
        if sentinel is not None:
            missing |= _is_sentinel(result, sentinel)
    values[missing] = np.nan
    return values, missing


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
    weight = _float32(expression.evaluate(lookup, size).astype(np.float64) * scale)
    if not np.isfinite(weight).all():
        raise ReadError(
            f"{expression.where} is not finite in {np.count_nonzero(~np.isfinite(weight))} of the "
            f"entries {entries[0]}-{entries[1] - 1}",
            where=f"{file.path}:{file.tree}",
            mend="cut these entries away, e.g. --cut 'isfinite(weight)'",
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
            mend="list all classes in convert.classes, or cut these events away",
        )
    return values.astype(np.int32)
