"""Events in memory: DataFrames, mappings, structured and awkward arrays; and a tensor file of them.

They are known by what they offer, so that neither pandas nor awkward is imported.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import HepdannError, SchemaError
from ..provenance import provenance
from .layout import Block, Layout
from .source_and_target import SPLITS, empty_split, event_ids, split_of
from .writer import TensorWriter


class TemporaryFile:
    """A place for a tensor file that is removed with the last object that refers to this one.

    A copy in another process (a pickle, a fork) removes nothing.

    Attributes:
        path: of the file, which is not there yet.
    """

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="hepdann-", suffix=".h5")
        os.close(handle)
        self.path = Path(name)
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: Path, process: int) -> None:
    if os.getpid() == process:
        path.unlink(missing_ok=True)


def write_arrays(
    path: Path,
    mc: Any,
    data: Any,
    *,
    label: Any,
    truth: Any,
    weights: tuple[Any, Any],
    ids: tuple[Any, Any],
    names: Sequence[str] | None,
    classes: Sequence[str] | None,
    spectators: Sequence[str],
) -> None:
    """Write events to a tensor file, see :meth:`.Tensors.from_arrays`; the pairs are MC and data.

    Raises:
        SchemaError: they are not numbers, do not fit together, or cannot be written.
    """
    from ..config.samples import SplitConfig

    tables = {"mc": (mc, label, "label")} | (
        {} if data is None else {"data": (data, truth, "truth")}
    )
    further = [e for e in (label, truth, *weights, *ids, *spectators) if isinstance(e, str)]
    blocks: dict[str, Block] = {}
    for (domain, (events, labels, what)), weight, identity in zip(
        tables.items(), weights, ids, strict=False
    ):
        names, table = _features(domain, events, names, further)
        block = _block(domain, events, table, labels, what, weight, identity)
        kept = np.full((len(block), len(spectators)), np.nan, np.float32)
        for number, name in enumerate(spectators):
            if domain == "mc" or name in (table_columns(events) or ()):
                kept[:, number] = _column(events, name, f"a spectator of {domain}", len(block))
        blocks[domain] = replace(block, spectators=kept)
    features = tuple(names or ())
    split = SplitConfig()
    _check(features, blocks, split)
    layout = Layout(
        features=features,
        spectators=tuple(spectators),
        classes=_classes(blocks["mc"], classes),
        samples={domain: (domain,) for domain in blocks},
        has_truth=truth is not None,
    )
    capacity = {domain: len(block) for domain, block in blocks.items()}
    with TensorWriter(path, layout, capacity=capacity, split=split) as writer:
        for domain, block in blocks.items():
            writer.append(domain, block)
        settings = {"features": {name: name for name in features}}
        writer.finish(provenance([], settings), impute=_means(blocks["mc"], split))


def write_parts(
    path: str | Path,
    tables: Mapping[tuple[str, str], tuple[NDArray[np.float32], NDArray[np.int32]]],
    *,
    names: Sequence[str],
    classes: Sequence[str],
    samples: Mapping[str, Sequence[str]],
    record: Mapping[str, Any],
) -> None:
    """Write tables whose splits are given, as a publication has them.

    ``tables`` are features (N, F) and labels (N,) of "mc" and "data", by domain and split; labels
    of the data are kept as truth. ``record`` is the provenance.

    Raises:
        SchemaError: the file cannot be written.
    """
    from ..config.samples import SplitConfig

    rows = dict.fromkeys(samples, 0)
    for (domain, _), (_, label) in tables.items():
        rows[domain] += len(label)
    named = {domain: tuple(of) for domain, of in samples.items()}
    layout = Layout(features=tuple(names), classes=tuple(classes), samples=named, has_truth=True)
    with TensorWriter(path, layout, capacity=rows, split=SplitConfig()) as writer:
        for (domain, part), (table, label) in tables.items():
            count = len(label)
            rows[domain] -= count
            block = Block(
                features=table,
                spectators=np.empty((count, 0), np.float32),
                weight=np.ones(count, np.float32),
                sample=np.zeros(count, np.uint16),
                event_id=event_ids(domain, [rows[domain] + np.arange(count)]),
                label=label if domain == "mc" else None,
                truth=label if domain == "data" else None,
            )
            split = np.full(count, SPLITS.index(part), np.uint8)
            writer.put(writer.prepare(domain, block, split))
        writer.finish(record)


def _block(
    domain: str,
    events: Any,
    features: NDArray[np.float32],
    labels: Any,
    what: str,
    weight: Any,
    ids: Any,
) -> Block:
    n = len(features)
    if not n:
        raise SchemaError(f"{domain} has no events", mend="give at least one row")
    weights = np.ones(n, np.float32)
    if weight is not None:
        weights = _column(events, weight, f"the weight of {domain}", n)
        if not np.isfinite(weights).all():
            raise SchemaError(f"a weight of {domain} is not finite")
    label = None if labels is None and domain == "data" else _labels(events, labels, what, n)
    identity = [*features.T, weights]
    if ids is not None:
        table = np.asarray(events[ids] if isinstance(ids, str) else ids)
        if table.ndim not in (1, 2) or len(table) != n:
            raise SchemaError(
                f"the event ids of {domain} have shape {table.shape}",
                mend=f"give one number, or a row of them, for each of {n} events",
            )
        identity = list(table.reshape(n, -1).T)
    features[~np.isfinite(features)] = np.nan
    return Block(
        features=features,
        spectators=np.empty((n, 0), np.float32),
        weight=weights,
        sample=np.zeros(n, np.uint16),
        event_id=event_ids(domain, identity),
        label=label if domain == "mc" else None,
        truth=label if domain == "data" else None,
    )


def _features(
    domain: str, events: Any, wanted: Sequence[str] | None, further: Sequence[str]
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Names and table (N, F) of the inputs: those wanted, or all that are nothing further."""
    known = table_columns(events)
    if known is None:
        table = numbers(events, f"the features of {domain}", SchemaError)
        if table.ndim != 2:
            raise SchemaError(
                f"the features of {domain} have shape {table.shape}",
                mend="give an array (events, features), or columns by name",
            )
        names = tuple(wanted or (f"x{i}" for i in range(table.shape[1])))
        if len(names) != table.shape[1]:
            raise SchemaError(
                f"{domain} has {table.shape[1]} features, and there are {len(names)} names",
                mend=f"the names are {', '.join(map(str, names))}",
            )
        return names, table
    keys = {str(key): key for key in known}
    names = tuple(wanted or (name for name in keys if name not in further))
    absent = [name for name in names if name not in keys]
    if absent or not names:
        what = f"has no column {', '.join(absent)}" if absent else "has no column for a feature"
        raise SchemaError(f"{domain} {what}", mend=f"there are {', '.join(keys)}")
    values = columns(events, [keys[name] for name in names], SchemaError)
    return names, np.stack(list(values.values()), axis=1)


def _column(events: Any, values: Any, what: str, n: int) -> NDArray[np.float32]:
    """Numbers of the events: an array, or the name of a column."""
    if isinstance(values, str):
        known = table_columns(events) or []
        if values not in known:
            raise SchemaError(f"{what}: there is no column {values!r}")
        values = events[values]
    column = numbers(values, what, SchemaError)
    if column.shape != (n,):
        mend = f"give one for each of {n} events"
        raise SchemaError(f"{what} has shape {column.shape}", mend=mend)
    return column


def _labels(events: Any, labels: Any, what: str, n: int) -> NDArray[np.int32]:
    if labels is None:
        raise SchemaError(f"no {what} is given", mend="give the class of each event: 0, 1, …")
    values = _column(events, labels, f"the {what}", n)
    whole = np.isfinite(values) & (values == np.round(values)) & (values >= 0)
    if not whole.all() or values.max() > 1_000:
        wrong = values[~whole][0] if not whole.all() else values.max()
        raise SchemaError(f"the {what} {wrong:g} is no class", mend="classes are 0, 1, 2, …")
    return values.astype(np.int32)


def _classes(mc: Block, classes: Sequence[str] | None) -> tuple[str, ...]:
    assert mc.label is not None
    count = int(mc.label.max()) + 1 if classes is None else len(classes)
    usual = ("background", "signal") if count == 2 else tuple(f"class-{i}" for i in range(count))
    names = usual if classes is None else tuple(classes)
    for index, name in enumerate(names):
        of_class = mc.label == index
        if not of_class.any():
            raise SchemaError(f"class '{name}' (label {index}) has no events")
        if mc.weight[of_class].sum(dtype=np.float64) <= 0:
            raise SchemaError(f"the weights of class '{name}' do not add up to a positive sum")
    return names


def _check(names: Sequence[str], blocks: dict[str, Block], config: Any) -> None:
    for domain, block in blocks.items():
        for name, column in zip(names, block.features.T, strict=True):
            if not np.isfinite(column).any():
                raise SchemaError(f"feature '{name}' has no finite value in {domain}")
        events = np.bincount(split_of(block.event_id, config), minlength=len(SPLITS))
        empty = empty_split(events, (config.train, config.validation, config.test))
        if empty:
            raise SchemaError(
                f"no event of {domain} falls into the {empty} split: too many are equal",
                mend="tell them apart by event_id and data_event_id",
            )


def _means(mc: Block, config: Any) -> list[float]:
    """Mean of each feature over the training split, or over all where that has no value."""
    train = split_of(mc.event_id, config) == SPLITS.index("train")
    means = []
    for column in mc.features.T.astype(np.float64):
        known = np.isfinite(column)
        chosen = known & train if (known & train).any() else known
        means.append(float(np.float32(column[chosen].mean())))
    return means


def table_columns(events: Any) -> list[Any] | None:
    """Names of the columns, ``None`` of an array without any."""
    if isinstance(events, Mapping):
        return list(events)
    if (dtype := getattr(events, "dtype", None)) is not None and getattr(dtype, "names", None):
        return list(dtype.names)
    for attribute in ("columns", "fields"):  # of a DataFrame, of an awkward array
        # asked of the type: a column may have this name
        if hasattr(type(events), attribute) and len(names := getattr(events, attribute)):
            return list(names)
    return None


def columns(
    events: Any, names: Iterable[Any], error: type[HepdannError]
) -> dict[Any, NDArray[np.float32]]:
    """Some columns as numbers, see :func:`numbers`.

    Returns:
        By name, in order, each (N,).

    Raises:
        HepdannError: of type ``error``; a column does not hold one number an event.
    """
    table = {name: numbers(events[name], f"column {name!r}", error) for name in names}
    first = next(iter(table), None)
    for name, column in table.items():
        if column.ndim != 1 or column.shape != table[first].shape:
            raise error(
                f"column {name!r} has shape {column.shape}, and {first!r} has {table[first].shape}",
                mend="give every feature as a column of one number an event",
            )
    return table


def numbers(values: Any, what: str, error: type[HepdannError]) -> NDArray[np.float32]:
    """A float32 copy; a masked entry is NaN, and what float32 cannot hold infinite.

    Raises:
        HepdannError: of type ``error``; they are not numbers.
    """
    try:
        with np.errstate(over="ignore"):
            if hasattr(type(values), "fields"):
                values = values.to_numpy(allow_missing=True)
            if isinstance(values, np.ma.MaskedArray):
                values = np.ma.filled(values.astype(np.float32), np.nan)
            return np.array(values, np.float32)
    except (TypeError, ValueError) as failure:
        raise error(
            f"{what} cannot be read as numbers: {failure}", mend="give one number a feature"
        ) from failure
