"""Beside a file of events: true labels row by row, and the tree of a variation by event id."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, ReadError
from ...expressions import Expression
from ...tensors import event_ids
from ..files import FileRef, resolve
from ..planning.columns import Columns, compile_text, event_id_branches, looks_like
from ..planning.features import Variation
from ..planning.input_samples import Input
from ..planning.labels import to_labels
from ..planning.plan import SamplePlan
from ..planning.selection import Selection
from ..prescan import FileScan, scan, suggest
from .blocks import BlockReader
from .entry_ranges import UnitReader
from .events import column_names, varied_features


class TruthReader:
    """Hands out the labels of the data entries in their order.

    Args:
        path: the truth file, as :func:`.resolve` takes it.
        inputs: all samples; the data files in their order are what the truth runs along.
        label: the label of MC; the truth's label is the same, if it can be computed from the truth
            file, or else its only integer branch that is no event id.
        size: entries a block.
        read: the reader.

    Raises:
        ConfigError: there is no data, or a data file is used twice.
        ReadError: the file cannot be read, has another number of entries, or no clear label.
    """

    def __init__(
        self, path: str, inputs: Sequence[Input], label: str | None, size: int, read: BlockReader
    ) -> None:
        data = [file for entry in inputs if entry.domain == "data" for file in entry.files]
        if not data:
            raise ConfigError("there is no data that it could belong to", where=f"--truth {path}")
        if len({(file.path, file.tree) for file in data}) < len(data):
            raise ConfigError(
                "a data file is used by two samples, so that rows do not run along",
                where=f"--truth {path}",
                mend="use each data file once",
            )
        self._files = scan(resolve(path))
        given, needed = (sum(file.entries for file in files) for files in (self._files, data))
        if given != needed:
            raise ReadError(
                f"has {given} entries, the data has {needed}",
                where=self._files[0].path,
                mend="a truth file has one row for each entry of the data files",
            )
        self._columns = Columns.of(self._files[0].branches)
        self._label = self._find_label(label)
        self._ids = self._shared_ids(data)
        self._branches = list(dict.fromkeys([*self._columns.reads(self._label), *self._ids]))
        for file in self._files[1:]:
            self._columns_of_other(file)
        self._size, self._read = size, read
        self._taken = 0
        self._pending: dict[str, NDArray[Any]] = {}
        self._blocks = (
            block.columns for file in self._files for block in read(file, self._branches, size)
        )

    @property
    def files(self) -> tuple[FileScan, ...]:
        """The files of the truth."""
        return tuple(self._files)

    @property
    def ids(self) -> tuple[str, ...]:
        """Branches of the event id that truth and data have both, to be compared."""
        return self._ids

    def _find_label(self, label: str | None) -> Expression:
        file = self._files[0]
        if label is not None:
            expression = compile_text(label, self._columns, what="label")
            if all(map(self._columns.find, expression.names)):
                self._columns.check(expression, file)
                return expression
        integers = [
            branch.name
            for branch in file.branches.values()
            if branch.scalar and branch.dtype is not None and branch.dtype.kind in "biu"
            and looks_like(branch.name) not in ("an event id", "a weight")
        ]  # fmt: skip
        if len(integers) != 1:
            raise ReadError(
                "no branch is clearly the label"
                + (f": {', '.join(integers)} could be" if integers else ", none is an integer"),
                where=f"{file.path}:{file.tree}",
                mend=f"call it '{label}', as in MC" if label else "keep one integer branch",
            )
        return compile_text(integers[0], self._columns, what="label")

    def _shared_ids(self, data: Sequence[FileScan]) -> tuple[str, ...]:
        id_branches = event_id_branches(self._files[0].branches)
        return tuple(
            name
            for name in id_branches
            if all(name in file.branches and file.branches[name].scalar for file in data)
        )

    def _columns_of_other(self, file: FileScan) -> None:
        for name in self._branches:
            if name not in file.branches:
                raise ReadError(f"no branch '{name}'", where=f"{file.path}:{file.tree}")

    def take(self, count: int) -> TruthRows:
        """What belongs to the next ``count`` data entries.

        Raises:
            ReadError: a label is not an integer.
        """
        parts: list[dict[str, NDArray[Any]]] = []
        first, wanted = self._taken, count
        while wanted:
            if not self._pending or not len(next(iter(self._pending.values()))):
                self._pending = next(self._blocks)
            part = {name: values[:wanted] for name, values in self._pending.items()}
            self._pending = {name: values[wanted:] for name, values in self._pending.items()}
            wanted -= len(next(iter(part.values())))
            parts.append(part)
        self._taken += count
        columns = {n: np.concatenate([part[n] for part in parts]) for n in self._branches}
        values = self._label.evaluate(self._columns.lookup(columns), count)
        labels = to_labels(values, self._label.text, self._files[0], (first, first + count))
        return TruthRows(labels, {name: columns[name] for name in self._ids}, self._files[0].path)


@dataclass(frozen=True, eq=False)
class TruthRows:
    """Some rows of the truth.

    Attributes:
        labels: (n,) int64.
        ids: branches of the event id that data have too.
        path: the truth file.
    """

    labels: NDArray[np.int64]
    ids: Mapping[str, NDArray[Any]]
    path: str

    def check(self, columns: Mapping[str, NDArray[Any]], file: FileScan, start: int) -> None:
        """Whether the rows belong to these data entries.

        Args:
            columns: branches of the data, those of the event id among them.
            file: the data file, for errors.
            start: first of these entries in the data file.

        Raises:
            ReadError: an event id differs.
        """
        for name, ids in self.ids.items():
            differ = np.flatnonzero(ids != columns[name])
            if len(differ):
                raise ReadError(
                    f"entry {start + int(differ[0])} of {file.path} is {name} "
                    f"{columns[name][differ[0]]}, the truth has {ids[differ[0]]} there",
                    where=self.path,
                    mend="a truth file runs row by row along the data files, in their order",
                )


class ShiftedTree:
    """The events of one file in a variation's tree; read when they are first asked for, and held.

    Args:
        sample: that the file belongs to; its cut acts on the shifted events.
        file: the file with its nominal tree.
        variation: its tree and features.
        read: cuts a file into units.
        size: entries at a time.
    """

    def __init__(
        self, sample: SamplePlan, file: FileScan, variation: Variation, read: UnitReader, size: int
    ) -> None:
        self._sample, self._file, self._variation = sample, file, variation
        self._read, self._size = read, size
        self._lock = threading.Lock()
        self._events: tuple[NDArray[np.uint64], NDArray[np.float32]] | None = None

    def features(self, ids: NDArray[np.uint64]) -> NDArray[np.float32]:
        """(n, columns) of events by their ids; a row of NaN for one that the tree does not have.

        Raises:
            ReadError: the tree cannot be read, lacks a branch, or has two events of one id.
        """
        with self._lock:
            if self._events is None:
                self._events = self._load()
        known, features = self._events
        at = np.searchsorted(known, ids)
        present = at < len(known)
        present[present] = known[at[present]] == ids[present]
        chosen = np.full((len(ids), features.shape[1]), np.nan, np.float32)
        chosen[present] = features[at[present]]
        return chosen

    def _load(self) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
        sample, variation = self._sample, self._variation
        (file,) = scan([FileRef(self._file.path, variation.tree)])
        columns, where = Columns.of(file.branches), f"{file.path}:{file.tree}"
        selection = Selection(columns, sample.cut)
        used = [*(f.expression for f in variation.features), *([sample.cut] if sample.cut else [])]
        absent = [n for n in sample.id_branches if n not in file.branches]
        absent += [n for e in used for n in e.names if not columns.find(n)]
        if absent:
            mend = suggest(absent[0], list(file.branches), what="branches")
            raise ReadError(f"no branch '{absent[0]}', of a variation", where=where, mend=mend)
        branches = [*sample.id_branches, *selection.branches]
        branches += [name for expression in used for name in columns.reads(expression)]
        width = len(column_names(variation.features))
        keys, rows = [np.empty(0, np.uint64)], [np.empty((0, width), np.float32)]
        for unit in self._read(file, [*dict.fromkeys(branches)], self._size):
            raw = unit.read(np.empty)
            passed, _ = selection.passing(file, raw.start, raw.columns, len(raw))
            arrays: dict[str, Any] = raw.columns
            if passed is not None:
                arrays = {name: values[passed] for name, values in arrays.items()}
            name = sample.source.config.name
            keys.append(event_ids(name, [arrays[branch] for branch in sample.id_branches]))
            rows.append(varied_features(variation.features, columns, arrays, len(keys[-1])))
        ids, order = np.unique(np.concatenate(keys), return_index=True)
        if len(ids) < sum(map(len, keys)):
            raise ReadError(
                f"two events have one id ({', '.join(sample.id_branches)}), so that those of the "
                "nominal tree cannot be found",
                where=where,
                mend="name more branches with --event-id",
            )
        return ids, np.concatenate(rows)[order]
