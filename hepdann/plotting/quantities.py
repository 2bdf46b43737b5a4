"""The numbers that the figures of a run show: features and scores, data against MC."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import evaluation, stats
from ..evaluation import DataMC
from ..evaluation.datamc import folded
from ..store.scores.reader import Domain
from .figures.panels import Scale, common_scale
from .names import RunNames

_PROCESSES = 9  # more cannot be distinguished by colour: the smallest are drawn as one
_OTHER = "other"


@dataclass(frozen=True, eq=False)
class Stages:
    """Data and MC in a variable.

    Attributes:
        shown: as the figure wants them, with its weight and map.
        before: with neither, in the same bins; ``None`` if there is neither.
        folded: whether the end bins hold events from outside.
        sentinels: values that stand for "there is none"; events that have one are missing.
    """

    shown: DataMC
    before: DataMC | None = None
    folded: bool = False
    sentinels: tuple[float, ...] = ()


class Quantities(RunNames):
    """What can be drawn of a run: its columns, its processes, and data against MC in each."""

    @cached_property
    def columns(self) -> evaluation.Columns:
        """Everything that the events have, by name."""
        return evaluation.Columns(self.scores)

    @cached_property
    def _weights(self) -> dict[str, NDArray[Any]]:
        return {domain: self.scores.column(domain, "weight") for domain in ("mc", "target")}

    @cached_property
    def test(self) -> dict[Domain, NDArray[np.bool_]]:
        """(N,) which events of each domain are in the test split; with folds all."""
        domains: tuple[Domain, Domain] = ("mc", "target")
        return {domain: self.scores.rows(domain, "test") for domain in domains}

    @cached_property
    def classes(self) -> tuple[NDArray[Any], tuple[str, ...]]:
        """Class of each MC event and the classes' names."""
        return self.scores.column("mc", "label"), self.class_names

    @cached_property
    def processes(self) -> tuple[NDArray[Any], tuple[str, ...]]:
        """Process of each MC event and the processes' names; the classes if there is only one."""
        if len(self.scores.samples) < 2:
            return self.classes
        sample = np.asarray(self.scores.column("mc", "sample"), dtype=np.intp)
        content = np.bincount(sample, self._weights["mc"], minlength=len(self.scores.samples))
        present = np.bincount(sample, minlength=len(content)) > 0
        order = [i for i in np.argsort(-content, kind="stable") if present[i]]
        kept, rest = order[:_PROCESSES], order[_PROCESSES:]
        # Small at the bottom, so that a logarithmic axis shows every process.
        names = [_OTHER] * bool(rest)
        names += [self._process(self.scores.samples[i]) for i in reversed(kept)]
        index = np.zeros(len(content), dtype=np.intp)
        for place, i in enumerate(reversed(kept)):
            index[i] = place + bool(rest)
        return index[sample], tuple(names)

    def feature(self, index: int, aligned: str | None = None) -> Stages:
        """Data and MC in one feature, all splits.

        Args:
            index: of the feature.
            aligned: the target after this alignment map; by default as it is.

        Returns:
            The comparison. The bins do not depend on ``aligned``: before and after can be laid
            side by side.
        """
        first = self._features("mc", "features")[:, index]
        unmapped = self._features("target", "features")[:, index]
        (mc, target), sentinels = stats.without_sentinels(first, unmapped)
        edges = stats.binning(mc, target)
        if aligned is not None:
            mapped = self._features("target", f"aligned/{aligned}")[:, index]
            (mc, target), sentinels = stats.without_sentinels(first, mapped)
        numbers, folded = self._compare(mc, target, edges, *self.processes)
        return Stages(numbers, None, folded, sentinels)

    def score(
        self, method: str, signal: int, *, by: Literal["class", "process"], scale: bool = False
    ) -> DataMC:
        """Data and MC in the score of a class, test split.

        Args:
            method: whose score.
            signal: the class.
            by: what the MC is split by.
            scale: normalise MC to the target.
        """
        mc = self.scores.score("mc", method)[self.test["mc"], signal]
        target = self.scores.score("target", method)[self.test["target"], signal]
        index, names = self.classes if by == "class" else self.processes
        edges = np.linspace(0.0, 1.0, 26)
        index, weight = index[self.test["mc"]], self._weights["mc"][self.test["mc"]]
        numbers = self._compare(mc, target, edges, index, names, test=True, scale=scale)[0]
        varied = self.scores.varied(method)
        if varied is None:
            return numbers
        sides = [
            stats.fill(np.clip(side[self.test["mc"], signal], 0, 1), weight, edges)[0]
            for side in varied
        ]
        moved = [side.scaled(numbers.scale).sumw for side in sides]
        return replace(numbers, varied=np.stack(moved))

    def scale(self, signal: int, *, by: Literal["class", "process"], scale: bool) -> Scale:
        """The y axes of the figures of all methods' scores of a class; as in :meth:`score`."""
        key = (signal, by, scale)
        if key not in self._scales:
            figures = [self.score(m, signal, by=by, scale=scale) for m in self.candidates]
            self._scales[key] = common_scale(figures)
        return self._scales[key]

    @cached_property
    def _scales(self) -> dict[tuple[int, str, bool], Scale]:
        return {}

    def _features(self, domain: Domain, name: str) -> NDArray[Any]:
        key = f"{domain}/{name}"
        if key not in self._read:
            self._read[key] = self.scores.column(domain, name)
        return self._read[key]

    @cached_property
    def _read(self) -> dict[str, NDArray[Any]]:
        return {}

    def _compare(
        self,
        mc: NDArray[Any],
        target: NDArray[Any],
        edges: NDArray[np.float64],
        process: NDArray[Any],
        names: tuple[str, ...],
        *,
        test: bool = False,
        scale: bool = False,
    ) -> tuple[DataMC, bool]:
        w_mc, w_target = self._weights["mc"], self._weights["target"]
        if test:
            w_mc, w_target = w_mc[self.test["mc"]], w_target[self.test["target"]]
        (mc, target), outside = folded(edges, mc, target)
        numbers = evaluation.data_mc(
            mc, w_mc, process, names, target, w_target, edges, normalise=scale or self.scale_mc
        )
        return numbers, outside
