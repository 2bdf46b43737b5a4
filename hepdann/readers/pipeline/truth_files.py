"""The true labels of simulated "data", in a file of their own, row by row beside the data files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, ReadError
from ...expressions import Expression
from ..files import resolve
from ..planning.branch_roles import event_id_branches, looks_like
from ..planning.columns import Columns, compile_text
from ..planning.input_samples import Input
from ..planning.labels import to_labels
from ..prescan import FileScan, scan
from .blocks import BlockReader


class TruthFile:
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
        for name, own in self.ids.items():
            differ = np.flatnonzero(own != columns[name])
            if len(differ):
                raise ReadError(
                    f"entry {start + int(differ[0])} of {file.path} is {name} "
                    f"{columns[name][differ[0]]}, the truth has {own[differ[0]]} there",
                    where=self.path,
                    mend="a truth file runs row by row along the data files, in their order",
                )
