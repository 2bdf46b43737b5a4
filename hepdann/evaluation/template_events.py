"""The events that templates are filled with: which, how they are called, and what they weigh."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..registry import suggestion
from ..store.scores.reader import RunScores
from .columns import Columns

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

NOMINAL = "nominal"
DATA = "data"
_NO_NAME = re.compile(r"[^\w.-]+", re.ASCII)


@dataclass(frozen=True)
class TemplateSample:
    """The events of one process and class.

    Attributes:
        signal: whether the signal strength scales it.
        events: how many there are of the MC that is filled.
        scale: what their weights are multiplied by, so that they stand for all of its events.
    """

    name: str
    process: str
    class_: str
    signal: bool
    events: int
    scale: float


@dataclass(frozen=True, eq=False)
class TemplateEvents:
    """The MC of a run by process and class.

    ``signal`` names the classes or processes that are signal, by default the last class; with
    ``include_training`` all events are filled, otherwise those of the test split alone.
    """

    columns: Columns
    scores: RunScores
    signal: Sequence[str] = ()
    include_training: bool = False

    @cached_property
    def filled(self) -> Rows:
        """(N,) the MC events that templates are filled with.

        Raises:
            RunError: there are none that trained no network.
        """
        rows = self.scores.rows("mc", "test")
        if self.include_training:
            return np.ones_like(rows)
        if not rows.any():
            raise RunError(
                "every MC event of this run trained a network or chose one",
                where=self.scores.path.parent,
                mend="fill them all the same with --include-training",
            )
        return rows

    @cached_property
    def choosing(self) -> Rows:
        """(N,) the MC events that choose bins: others than those that fill them, if there are."""
        rows = self.scores.rows("mc", "validation")
        return self.filled if self.include_training or not rows.any() else rows

    @cached_property
    def group(self) -> NDArray[np.int64]:
        """(N,) number of the sample of each MC event."""
        return self._groups[0]

    @cached_property
    def _groups(self) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
        """The numbers, and the process and class of each sample, in the order of both."""
        label = self.scores.column("mc", "label").astype(np.int64)
        process = np.zeros_like(label)
        if len(self.scores.samples) > 1:
            process = self.scores.column("mc", "sample").astype(np.int64)
        present, group = np.unique(process * len(self.scores.classes) + label, return_inverse=True)
        return group, [divmod(int(pair), len(self.scores.classes)) for pair in present]

    @cached_property
    def samples(self) -> tuple[TemplateSample, ...]:
        """The samples, in the order of processes and classes.

        Raises:
            RunError: a signal that is no class and no process, or two samples of one name.
        """
        processes, classes = self.scores.samples or ("mc",), self.scores.classes
        known = (*classes, *processes)
        for name in self.signal:
            if name not in known:
                what, mend = f"no class or process {name!r}", suggestion(name, known)
                raise RunError(what, where=self.scores.path.parent, mend=mend)
        signal = set(self.signal or classes[-1:])
        pairs = self._groups[1]
        names = [self._name(pair, pairs) for pair in pairs]
        if DATA in names or len(set(names)) < len(names):
            twice = next(n for n in names if n == DATA or names.count(n) > 1)
            raise RunError(
                f"two samples would be called {twice!r} in the templates",
                where=self.scores.path.parent,
                mend="rename a process or class, and convert and train again",
            )
        counts = np.bincount(self.group[self.filled], minlength=len(pairs))
        scales = self._scales("weight")
        return tuple(
            TemplateSample(
                name,
                processes[process],
                classes[class_],
                bool({processes[process], classes[class_]} & signal),
                int(counts[index]),
                float(scales[index]),
            )
            for index, (name, (process, class_)) in enumerate(zip(names, pairs, strict=True))
        )

    def _name(self, pair: tuple[int, int], pairs: Sequence[tuple[int, int]]) -> str:
        process, class_ = pair
        if len(self.scores.samples) < 2:
            return _NO_NAME.sub("_", self.scores.classes[class_])
        several = sum(one == process for one, _ in pairs) > 1
        parts = [self.scores.samples[process], *([self.scores.classes[class_]] if several else [])]
        return _NO_NAME.sub("_", "_".join(parts))

    def weights(self, column: str = "weight", rows: Rows | None = None) -> Floats:
        """(n,) weights of the events, scaled up to the yield of all events of their sample.

        ``column`` is "weight", or "weights.<name>" of a variation; ``rows`` are by default those
        filled.
        """
        chosen = self.filled if rows is None else rows
        weight = self.columns.column("mc", column).astype(np.float64)
        return np.asarray(weight[chosen] * self._scales(column, chosen)[self.group[chosen]])

    def _scales(self, column: str, rows: Rows | None = None) -> Floats:
        """(S,) yield of all events of each sample over that of some of them.

        Where these yields do not have one sign, as of few events with negative weights, it is how
        many MC events there are over how many of them are taken.
        """
        rows = self.filled if rows is None else rows
        weight, size = self.columns.column("mc", column).astype(np.float64), len(self._groups[1])
        total = np.bincount(self.group, weight, size)
        part = np.bincount(self.group[rows], weight[rows], size)
        share = np.full(size, len(rows) / max(int(rows.sum()), 1))
        return np.asarray(np.divide(total, part, out=share, where=total * part > 0))
