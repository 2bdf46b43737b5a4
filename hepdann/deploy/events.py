"""Real events of a run, as the inputs of its graph and as the features of its model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import FeatureConfig
from ..errors import HepdannError
from ..inference import Model
from ..readers.columns import Columns
from ..readers.events import feature_values
from ..readers.features import Feature as Converted
from ..runs import Run
from ..store.scores import open_scores
from ..store.start_record import StartRecord, has_begun
from ..tensors import Tensors, open_tensors
from .features import Feature, Plan, branches_of

__all__ = ["Events", "converted_events", "ranges", "stored_events", "tensors_of"]

_INDEXED = re.compile(r"(?P<branch>.*?)(?P<index>(\[\d+\])+)")


@dataclass(frozen=True, eq=False)
class Events:
    """Events in both forms.

    Attributes:
        table: (N, R) float32, the inputs of the graph.
        features: (N, F) float32 of the model, NaN where missing.
    """

    table: NDArray[np.float32]
    features: NDArray[np.float32]


def tensors_of(run: Run) -> Tensors | None:
    """The tensor file that a run was trained on; ``None`` if it is gone or holds something else."""
    if not has_begun(run.folder):
        return None
    record = StartRecord.read(run.folder)
    try:
        tensors = open_tensors(record.tensors)
        return tensors if tensors.content_id() == record.content[0] else None
    except (HepdannError, OSError):
        return None


def stored_events(run: Run, plan: Plan, domain: str, most: int) -> Events:
    """Events from ``scores.h5``, whose features are columns of the inputs.

    Args:
        run: the run.
        plan: without computed features.
        domain: "target" or "source".
        most: events, spread over the file.
    """
    features = _some(open_scores(run.folder).column(_stored(domain), "features"), most)
    at = {name: number for number, name in enumerate(plan.names)}
    reads = {feature.reads[0]: feature for feature in plan.features}
    columns = []
    for one in plan.inputs:
        feature = reads[one.name]
        column = features[:, at[feature.name]].copy()
        if feature.missing is not None:  # as the ntuple marks it
            column[np.isnan(column)] = feature.missing
        columns.append(column)
    return Events(np.stack(columns, axis=1), features)


def converted_events(
    tensors: Tensors, model: Model, plan: Plan, domain: str, most: int
) -> Events | None:
    """The first events of a file that was converted; ``None`` if none can be read.

    Args:
        tensors: the tensor file.
        model: of the run.
        plan: of the inputs.
        domain: "target" takes files of data, if there are any.
        most: events.
    """
    import uproot

    names = list(dict.fromkeys(n for f in plan.features for n in _reads(f)))
    for path, tree in _places(tensors.provenance, domain):
        try:
            with uproot.open(path) as file:
                arrays = _tree(file, tree).arrays(
                    list(dict.fromkeys(_branch(name)[0] for name in names)),
                    entry_stop=most,
                    library="np",
                )
            given = {name: _element(arrays, name) for name in names}
            features = _features(plan, given)
            table = [given.get(one.name, features.get(one.name)) for one in plan.inputs]
            return Events(_table(table), model.columns.table(features))
        except (OSError, ValueError, KeyError, TypeError, IndexError, HepdannError):
            continue  # moved, or of a sample that lacks a branch
    return None


def ranges(run: Run, model: Model) -> dict[str, list[float | None]]:
    """Smallest and largest value of each feature in the MC's training split; with folds in all."""
    scores = open_scores(run.folder)
    train = scores.rows("mc", "train")
    x = scores.column("mc", "features")[train]
    return {
        name: [float(np.nanmin(x[:, k])), float(np.nanmax(x[:, k]))]
        if np.isfinite(x[:, k]).any()
        else [None, None]
        for k, name in enumerate(model.features)
    }


def _stored(domain: str) -> Any:
    return "target" if domain == "target" else "mc"


def _some(rows: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    return rows[:: -(-len(rows) // most)] if len(rows) > most else rows


def _places(provenance: dict[str, Any], domain: str) -> Sequence[tuple[str, str | None]]:
    """Path and tree of each file, those of the domain first."""
    settings = provenance.get("settings") or {}
    usual = (settings.get("convert") or {}).get("tree")
    role = "data" if domain == "target" else "mc"
    samples = sorted(settings.get("samples") or [], key=lambda s: s.get("role") != role)
    listed = chain.from_iterable(
        [(path, sample.get("tree") or usual) for path in sample.get("files") or []]
        for sample in samples
    )
    known = {Path(str(entry.get("path"))).name for entry in provenance.get("inputs") or []}
    return [(p, t) for p, t in dict.fromkeys(listed) if Path(p).name in known]


def _tree(file: Any, name: str | None) -> Any:
    if name:
        return file[name]
    trees = [file[key] for key in file.keys(cycle=False) if hasattr(file[key], "num_entries")]
    return max(trees, key=lambda tree: int(tree.num_entries))


def _branch(column: str) -> tuple[str, tuple[int, ...]]:
    """``x[1]`` is an element of the branch x."""
    match = _INDEXED.fullmatch(column)
    if match is None:
        return column, ()
    return match["branch"], tuple(int(i) for i in re.findall(r"\d+", match["index"]))


def _element(arrays: dict[str, NDArray[Any]], column: str) -> NDArray[Any]:
    branch, index = _branch(column)
    place: Any = (slice(None), *index)
    return np.asarray(arrays[branch][place])


def _reads(feature: Feature) -> tuple[str, ...]:
    """The branches that a feature is made of, wherever it is computed."""
    return (feature.name,) if feature.expression is None else branches_of(feature.expression)


def _table(columns: Sequence[NDArray[Any] | None]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        known = [column.astype(np.float32) for column in columns if column is not None]
        return np.stack(known, axis=1)


def _features(plan: Plan, given: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """As the conversion makes them."""
    columns = Columns({}, {name: (name, ()) for name in given})
    size = len(next(iter(given.values())))
    made = {}
    for feature in plan.features:
        if feature.expression is None:
            made[feature.name] = given[feature.name].astype(np.float32)
        else:
            settings = FeatureConfig(name=feature.name, missing=feature.missing)
            converted = Converted(feature.name, feature.expression, settings)
            made[feature.name] = feature_values(converted, columns, given, size)[0]
    return made
