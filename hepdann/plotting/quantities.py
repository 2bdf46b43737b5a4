"""Reads a run folder into the numbers and the names that its figures need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import evaluation, stats
from ..config import Config, load_config
from ..errors import ConfigError, RunError
from ..evaluation import DataMC
from ..inputs import read_json
from ..registry import nearest
from ..store.content import WithAdvice
from ..store.paths import RunPaths
from ..store.scores import RunScores, open_scores
from ..tensors import SPLITS
from .scales import Scale, common_scale
from .styles import class_colours, readable, wrapped

__all__ = ["Quantities", "Stages"]

Domain = Literal["mc", "target"]

_PROCESSES = 9  # more are not told apart by colour: the smallest are drawn as one
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


@dataclass(frozen=True, eq=False)
class Quantities:
    """What can be drawn of a run.

    Attributes:
        folder: of the run.
        scores: its ``scores.h5``.
        config: its settings.
        scale_mc: MC is normalised to the target in every figure.
    """

    folder: Path
    scores: RunScores
    config: Config
    scale_mc: bool = False

    @classmethod
    def open(cls, folder: Path, *, scale_mc: bool = False) -> Quantities:
        """Open a run.

        Raises:
            RunError: the folder holds no run, or not a whole one.
            ConfigError: its ``config.yaml`` is damaged.
        """
        scores = open_scores(folder)
        path = RunPaths(folder).config
        # The paths of samples are not needed, and the shift may live in a script of the user's.
        config = load_config(path, expand=False, known_names=False) if path.exists() else Config()
        return cls(folder, scores, config, scale_mc)

    @property
    def is_simulation(self) -> bool:
        """Whether no detector data are among the events."""
        return self.scores.target_kind == "pseudo-data"

    @property
    def target_name(self) -> str:
        """What the points of a figure are, e.g. ``Pseudo-data, sine t = 3``."""
        if not self.is_simulation:
            return "Data"
        shift = self.config.train.shift
        return "Pseudo-data" + (f", {shift.name} t = {shift.t_text}" if shift else "")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, as a figure names them."""
        titles = self._looks["class_titles"]
        return tuple(readable(titles.get(name, name)) for name in self.scores.classes)

    @property
    def class_colours(self) -> dict[str, str]:
        """The colours that a configuration gave to classes, by the name that a figure shows."""
        given = self._looks["class_colors"]
        return {
            shown: given[name]
            for name, shown in zip(self.scores.classes, self.class_names, strict=True)
            if name in given
        }

    @property
    def palette(self) -> dict[str, str]:
        """The colour of every class in every figure, by the name that a figure shows."""
        return class_colours(self.class_names) | self.class_colours

    @cached_property
    def columns(self) -> evaluation.Columns:
        """Everything that the events have, by name."""
        return evaluation.Columns(self.scores)

    def signal(self, name: str | None) -> int:
        """Index of a class; by default of the last one.

        Raises:
            ConfigError: no such class.
        """
        classes = self.scores.classes
        if name is None:
            return len(classes) - 1
        if name not in classes:
            near = nearest(name, classes)
            mend = f"did you mean {near}?" if near else f"there are {', '.join(classes)}"
            raise ConfigError(f"no class {name!r} in this run", where="plots.figures", mend=mend)
        return classes.index(name)

    def title(self, feature: str) -> tuple[str, str]:
        """Name and unit of a feature, for an axis."""
        titles, units = self._looks["titles"], self._looks["units"]
        return readable(titles.get(feature, feature)), readable(units.get(feature, ""))

    @cached_property
    def teacher(self) -> str | None:
        """The alignment that the run recommends or leans on; the first one if nothing is said."""
        try:
            metrics = read_json(RunPaths(self.folder).metrics, WithAdvice)
            said = metrics["recommendation"]["teacher"]
        except RunError:
            said = None
        aligned = self.scores.aligned
        return said if said in aligned else next(iter(aligned), None)

    def tick_title(self, feature: str) -> str:
        """The feature's title in short lines, for an axis that has a tick for each."""
        return wrapped(self.title(feature)[0])

    @cached_property
    def colours(self) -> dict[str, str]:
        """The colours that a configuration gave to processes, by the name that a figure shows.

        Where classes stand in for a single process, theirs are among them.
        """
        given = self._looks["sample_colors"]
        processes = {self._process(name): colour for name, colour in given.items()}
        return self.class_colours | processes

    def _process(self, name: str) -> str:
        return readable(self._looks["sample_titles"].get(name, name))

    @cached_property
    def _looks(self) -> dict[str, dict[str, str]]:
        kinds = (
            "titles", "units", "sample_titles", "sample_colors", "class_titles", "class_colors",
        )  # fmt: skip
        return {kind: self.scores.look(kind) for kind in kinds}

    @cached_property
    def _weights(self) -> dict[str, NDArray[Any]]:
        return {domain: self.scores.column(domain, "weight") for domain in ("mc", "target")}

    @cached_property
    def _test(self) -> dict[str, NDArray[np.bool_]]:
        test = SPLITS.index("test")
        return {domain: self.scores.column(domain, "split") == test for domain in ("mc", "target")}

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
        came = self._features("target", "features")[:, index]
        (mc, target), sentinels = stats.without_sentinels(first, came)
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
        mc = self.scores.score("mc", method)[self._test["mc"], signal]
        target = self.scores.score("target", method)[self._test["target"], signal]
        index, names = self.classes if by == "class" else self.processes
        edges = np.linspace(0.0, 1.0, 26)
        index = index[self._test["mc"]]
        return self._compare(mc, target, edges, index, names, test=True, scale=scale)[0]

    def scale(self, signal: int, *, by: Literal["class", "process"], scale: bool) -> Scale:
        """The y axes of the figures of all methods' scores of a class; as in :meth:`score`."""
        key = (signal, by, scale)
        if key not in self._scales:
            methods = [method for method in self.scores.methods if method != "oracle"]
            figures = [self.score(m, signal, by=by, scale=scale) for m in methods]
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
            w_mc, w_target = w_mc[self._test["mc"]], w_target[self._test["target"]]
        outside = [np.any((v < edges[0]) | (v > edges[-1])) for v in (mc, target)]
        mc, target = (np.clip(v, edges[0], edges[-1]) for v in (mc, target))
        numbers = evaluation.data_mc(
            mc, w_mc, process, names, target, w_target, edges, normalise=scale or self.scale_mc
        )
        return numbers, bool(np.any(outside))
