"""The features of a systematic variation that has a tree of its own, by the ids of the events."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...tensors import event_ids
from ..files import FileRef
from ..planning.columns import Columns
from ..planning.plan import SamplePlan
from ..planning.selection import Selection
from ..planning.variations import Variation
from ..prescan import FileScan, scan, suggest
from .entry_ranges import UnitReader
from .events import column_names, varied_features


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
        there = at < len(known)
        there[there] = known[at[there]] == ids[there]
        found = np.full((len(ids), features.shape[1]), np.nan, np.float32)
        found[there] = features[at[there]]
        return found

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
