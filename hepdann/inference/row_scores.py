"""The columns that a model gives of every row of a file; lists run along those of the file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, RunError
from ..readers.conversion_record import Conversion
from ..readers.row_reader import Inputs, RowReader, Rows
from ..store.paths import RunPaths
from ..store.reading import read_metrics
from ..store.training_record import TrainingRecord
from ..tensors import EventImages, Objects
from .model import NO_FOLD, Model, collections_of, folds_of, object_scores
from .predictor import known_events, load_model
from .row_files import IDENTITY, LISTS
from .steps import Scores, choose_device


@dataclass(frozen=True)
class ObjectLists:
    """The columns with the scores of objects.

    Attributes:
        columns: by collection whose objects have classes, the column of each class.
    """

    columns: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, collections: Iterable[str], conversion: Conversion) -> Self:
        """The columns of some collections; the conversion names the classes of their objects."""
        columns = {}
        for name in collections:
            label = conversion.objects[name].label
            assert label is not None
            columns[name] = tuple(re.sub(r"\W+", "_", f"score_{name}_{c}") for c in label.classes)
        return cls(columns)

    @property
    def names(self) -> list[str]:
        """Names of all columns."""
        return [name for names in self.columns.values() for name in names]

    def empty(self, rows: int) -> dict[str, NDArray[Any]]:
        """Empty lists, in so many rows."""
        columns: dict[str, NDArray[Any]] = {name: np.full(rows, None) for name in self.names}
        for column in columns.values():
            column[:] = [np.empty(0, np.float32)] * rows
        return columns

    def put(
        self,
        columns: Mapping[str, NDArray[Any]],
        inputs: Inputs,
        scores: Mapping[str, NDArray[np.float32]],
    ) -> None:
        """Fill the rows of some events, NaN where an object was left out.

        The columns are those of all rows, the scores (objects, C) by collection.
        """
        for collection, names in self.columns.items():
            part = inputs.objects[collection]
            assert part.listed is not None
            begin = np.cumsum(part.listed) - part.listed
            at = np.repeat(begin, part.counts) + part.numbers["place"]
            for number, name in enumerate(names):
                flat = np.full(int(part.listed.sum()), np.nan, np.float32)
                flat[at] = scores[collection][:, number]
                for row, values in zip(inputs.rows, np.split(flat, begin[1:]), strict=False):
                    columns[name][row] = values


_PLAIN = re.compile(r"\W+")


@dataclass(frozen=True, eq=False)
class Scored:
    """Some rows of an output.

    Attributes:
        columns: by name (n, …).
        outside: (F,) how many have a value of each feature beyond those of training.
    """

    columns: dict[str, NDArray[Any]]
    selected: int
    trained: int
    outside: NDArray[np.int64]


class RowScorer:
    """Scores rows with a method of a run.

    Args:
        method: default the recommended one.
        columns: that are written beside the event id and what is kept; empty for all.

    Raises:
        RunError: no run, none of that method, or it was not trained on files.
        ConfigError: no such device or column.
    """

    def __init__(
        self, folder: Path, method: str | None, device: str, columns: Sequence[str] = ()
    ) -> None:
        recommended = read_metrics(folder).recommended
        self.record = TrainingRecord.read(folder)
        if self.record.conversion is None:
            raise RunError(
                "was trained on arrays, and nothing says how files become such events",
                where=folder,
                mend="score arrays with run.predict",
            )
        self.conversion = self.record.conversion
        self._path = RunPaths(folder).model
        self._model = load_model(self._path)
        self.method = method or recommended or self._model.methods[0]
        if self.method not in self._model.methods:
            known = ", ".join(self._model.methods)
            raise RunError(f"has no method '{self.method}'", where=folder, mend=f"it has {known}")
        self._torch = not self._model.compiled
        if self._torch or device != "auto":  # compiled code is as fast as a device that is fed
            self._model = self._model.on(choose_device(device, 1, where="--device"))
        self._known = known_events(folder, self._model)
        plain = [_PLAIN.sub("_", name) for name in self._model.classes]
        distinct = len(set(plain)) == len(plain)
        self.scores = [f"score_{n}" if distinct else f"score_{i}" for i, n in enumerate(plain)]
        ranges = [self.record.ranges.get(n, (-np.inf, np.inf)) for n in self._model.features]
        self._trained = Known(self.record.events)
        real = np.dtype(np.float32)
        self._types: dict[str, np.dtype[Any]] = dict.fromkeys(self._real_columns, real)
        self._lists = ObjectLists.of(self._model.object_classes, self.conversion)
        self._types |= dict.fromkeys(self._lists.names, LISTS)
        self._types |= {"selected": np.dtype(np.uint8), "trained_on": np.dtype(np.int8)}
        self._types |= {} if self._known is None else {"fold": np.dtype(np.uint8)}
        self._types[IDENTITY] = np.dtype(np.uint64)
        if absent := [name for name in columns if name not in self._types]:
            what, mend = f"'{absent[0]}' is no column of the scores", ", ".join(self._types)
            raise ConfigError(what, where="--columns", mend=f"there are {mend}")
        self._columns = {*(columns or self._types), IDENTITY}
        self._low, self._high = np.array(ranges, np.float32).reshape(-1, 2).T.copy()

    @property
    def in_threads(self) -> bool:
        """Whether several threads may score at a time; only perceptrons may be shared."""
        return not any(part.shape.network for part in self._model.parts.values())

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that are compared with those of training."""
        return self._model.features

    @cached_property
    def identity(self) -> dict[str, str]:
        """What decides the scores, beside the input."""
        digest = hashlib.sha256(self._path.read_bytes())
        trained = hashlib.sha256(self.conversion.model_dump_json().encode())
        trained.update(repr(sorted(self.record.ranges.items())).encode())
        trained.update(self.record.events.tobytes())
        return {"model": digest.hexdigest(), "training": trained.hexdigest(), "method": self.method}

    def types(self, reader: RowReader) -> dict[str, np.dtype[Any]]:
        """Names and types of the columns.

        Raises:
            ConfigError: a branch that is kept has the name of one of them.
        """
        types = {name: kind for name, kind in self._types.items() if name in self._columns}
        for name, branch in reader.kept.items():
            column = kept_name(name)
            if column in self._types:
                raise ConfigError(
                    f"'{name}' would stand beside the column '{column}' of the scores",
                    where="--keep",
                    mend="leave it out",
                )
            types[column] = np.dtype((branch.dtype, branch.shape))
        return types

    def check(self, reader: RowReader) -> None:
        """Whether the columns of a file are those of the model.

        Raises:
            RunError: they are not.
        """
        kept = reader.columns
        if self._model.objects:  # the other features sum the objects up
            kept = (*kept, *self._model.features[len(kept) :])
        if not self._model.views and kept != self._model.features:
            raise RunError(
                "its conversion and its model have other features",
                where=self._path.parent,
                mend="train anew",
            )

    def score(self, rows: Rows, *, identified: bool) -> Scored:
        """The columns of some rows."""
        if self.in_threads and self._torch:
            import torch

            torch.set_num_threads(1)  # of this thread; there are others
        n = len(rows.event_id)
        columns: dict[str, NDArray[Any]] = {}
        if self._known is not None:
            columns["fold"] = np.full(n, NO_FOLD, np.uint8)
        columns |= self._lists.empty(n)
        selected = np.zeros(n, np.uint8)
        outside = np.zeros(len(self.features), np.int64)
        for inputs in rows.inputs:
            if len(inputs.rows):
                selected[inputs.rows] = 1
                self._put(columns, inputs, rows.event_id, identified=identified)
                outside += _outside(inputs.features, self._low, self._high)
        trained = np.full(n, 0 if identified else -1, np.int8)
        if identified and self._known is None:  # a fold that saw an event never scores it
            trained[:] = self._trained.among(rows.event_id) & (selected == 1)
        for name in self._real_columns:
            if name not in columns:
                columns[name] = np.full(n, np.nan, np.float32)
        columns |= {"selected": selected, "trained_on": trained, "event_id": rows.event_id}
        columns |= {kept_name(name): values for name, values in rows.kept.items()}
        counts = int(selected.sum()), int(np.count_nonzero(trained == 1))
        return Scored(columns, *counts, outside)

    def _put(
        self,
        columns: dict[str, NDArray[Any]],
        inputs: Inputs,
        event_id: NDArray[np.uint64],
        *,
        identified: bool,
    ) -> None:
        """Fill in what there is of the rows of some inputs, of a block with these identities."""
        events, at, size = _network_inputs(self._model, inputs), inputs.rows, len(event_id)
        ids = event_id if len(at) == size else event_id[at]
        domain = "source" if inputs.simulated else "target"
        model, fold = self._model, None
        if self._known is not None:
            if identified:
                columns["fold"][at] = folds_of(model, ids, self._known)
            fold = columns["fold"][at]
        # elsewhere its domain heads only watched, or nobody asks
        asked = "domain_score" in self._columns and model.adapts(self.method)

        def put(name: str, values: NDArray[np.float32]) -> None:
            if len(at) == size:
                columns[name] = values
                return
            if name not in columns:
                columns[name] = np.full(size, np.nan, np.float32)
            columns[name][at] = values

        score = partial(model.score, events, self.method, domain, fold=fold, event_id=ids)
        scores = score(domain_heads=asked)
        if asked:
            put("domain_score", scores.domain)
        if isinstance(events, Objects) and self._lists.names:
            of_objects = object_scores(model, events, self.method, domain, fold)
            self._lists.put(columns, inputs, of_objects)
        mean = scores.mean
        for number, name in enumerate(self.scores):
            put(name, mean[:, number])
        moves = model.varies(self.method, domain)
        for errors, side in ((1.0, "up"), (-1.0, "down")) if self._varied else ():
            moved = score(errors=errors, domain_heads=False).mean if moves else mean
            for number, name in enumerate(self._varied):
                put(f"{name}_{side}", moved[:, number])
        members = scores.members[:, :, -1:]  # of two classes the spreads are the same
        if mean.shape[1] > 2:
            members = np.take_along_axis(scores.members, mean.argmax(axis=1)[None, :, None], axis=2)
        put("spread", Scores(members, scores.domain).spread[:, 0])

    @property
    def _varied(self) -> list[str]:
        """Scores that an error of the calibration changes: of MC, and those of data beside them."""
        return self.scores if self._model.varies(self.method) else []

    @property
    def _real_columns(self) -> list[str]:
        sides = [f"{name}_{side}" for name in self._varied for side in ("up", "down")]
        return [*self.scores, "domain_score", "spread", *sides]


def _network_inputs(model: Model, inputs: Inputs) -> NDArray[np.float32] | EventImages:
    """What the networks of a model see of some rows."""
    if model.views:
        images = [inputs.views[name].reshape(len(inputs.rows), -1) for name, *_ in model.views]
        return np.concatenate(images, axis=1)
    if not model.objects:
        return inputs.features
    parts = tuple(inputs.objects[name] for name, *_ in model.objects)
    return Objects(inputs.features, parts, collections_of(model.objects))


def _outside(
    features: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]
) -> NDArray[np.int64]:
    """(F,) how many values of each feature are beyond its range."""
    if features.shape[1] != len(low):  # images: features are made of them in training
        return np.zeros(len(low), np.int64)
    beyond = (features < low) | (features > high)  # NaN is neither
    return np.asarray(np.count_nonzero(beyond, axis=0), np.int64)


def kept_name(branch: str) -> str:
    """The column that a branch is passed through as."""
    return _PLAIN.sub("_", branch)


class Known:
    """Identities that are looked up: few of those that are not there need a search."""

    def __init__(self, ids: NDArray[np.uint64]) -> None:
        self._ids, bits = ids, min(len(ids).bit_length() + 4, 26)
        self._shift = np.uint64(64 - bits)
        self._possible = np.zeros(1 << bits, np.bool_)  # by the first bits, which are well mixed
        self._possible[ids >> self._shift] = True

    def among(self, ids: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of some identities are there."""
        among: NDArray[np.bool_] = self._possible[ids >> self._shift]
        at = np.flatnonzero(among)
        among[at] = self._ids[np.searchsorted(self._ids, ids[at]) % len(self._ids)] == ids[at]
        return among
