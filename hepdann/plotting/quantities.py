"""A run as its figures see it: names and colours, its events, and data against MC in its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from .. import evaluation, stats
from ..config import Config
from ..display import command_line
from ..errors import ConfigError, RunError
from ..evaluation import DataMC
from ..evaluation.datamc import folded
from ..inputs import read_json
from ..registry import suggestion
from ..store.content import Diagnosed, WithAdvice
from ..store.paths import RunPaths
from ..store.reading import config_of
from ..store.scores_reader import Domain, RunScores, open_scores
from ..tensors import SPLITS, Split
from .axes.styles import class_colours, readable, wrapped
from .figures.panels import Scale, common_scale

DOMAINS: tuple[Domain, Domain] = ("mc", "target")
FEATURES = 12  # whose figures are drawn by default
_PROCESSES = 9  # more cannot be distinguished by colour: the smallest are drawn as one
_LOOKS = ("titles", "units", "sample_titles", "sample_colors", "class_titles", "class_colors")


@dataclass(frozen=True, eq=False)
class RunNames:
    """A run with the names and colours that its figures use.

    With ``scale_mc`` MC is normalised to the target in every figure.
    """

    folder: Path
    scores: RunScores
    config: Config
    scale_mc: bool = False

    @classmethod
    def open(cls, folder: Path, *, scale_mc: bool = False) -> Self:
        """Open a run.

        Raises:
            RunError: the folder holds no run, or not a whole one.
            ConfigError: its ``config.yaml`` is damaged.
        """
        return cls(folder, open_scores(folder), config_of(folder), scale_mc)

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

    @cached_property
    def _looks(self) -> dict[str, dict[str, str]]:
        return {kind: self.scores.look(kind) for kind in _LOOKS}

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, as a figure names them."""
        titles = self._looks["class_titles"]
        return tuple(readable(titles.get(name, name)) for name in self.scores.classes)

    @property
    def class_colours(self) -> dict[str, str]:
        """The colours that a configuration gave to classes, by the name that a figure shows."""
        given, names = self._looks["class_colors"], self.class_names
        pairs = zip(self.scores.classes, names, strict=True)
        return {title: given[name] for name, title in pairs if name in given}

    @property
    def palette(self) -> dict[str, str]:
        """The colour of every class in every figure, by the name that a figure shows."""
        return class_colours(self.class_names) | self.class_colours

    @cached_property
    def colours(self) -> dict[str, str]:
        """The colours that a configuration gave to processes, by the name that a figure shows.

        Where classes stand in for a single process, theirs are among them.
        """
        given = self._looks["sample_colors"]
        return self.class_colours | {self._process(name): given[name] for name in given}

    def _process(self, name: str) -> str:
        return readable(self._looks["sample_titles"].get(name, name))

    @property
    def background(self) -> str:
        """Name of what is not signal: of two classes the first."""
        return self.class_names[0] if len(self.class_names) == 2 else "background"

    def signal(self, name: str | None) -> int:
        """Index of a class; by default of the last one.

        Raises:
            ConfigError: no such class.
        """
        classes = self.scores.classes
        require_known("class", [name] if name else [], classes)
        return classes.index(name) if name else len(classes) - 1

    @property
    def signals(self) -> list[tuple[int, str, str]]:
        """Index, name and file-name suffix of each class whose score is shown."""
        names = self.class_names
        if len(names) == 2:
            return [(1, names[1], "")]
        return [(i, name, self.scores.classes[i]) for i, name in enumerate(names)]

    @property
    def candidates(self) -> tuple[str, ...]:
        """The methods without the oracle, which was trained on the target."""
        return tuple(method for method in self.scores.methods if method != "oracle")

    def methods(self, names: Sequence[str] | None, domain: Domain) -> Sequence[str]:
        """The methods of a figure; by default all whose prediction on the domain differs.

        On MC, an alignment's networks are those of source-only, and the oracle was not trained for
        it.

        Raises:
            ConfigError: a method that the run does not have.
        """
        require_known("method", names or (), self.scores.methods)
        if names is not None:
            return names
        if domain == "target":
            return self.scores.methods
        return [m for m in self.candidates if m not in self.scores.aligned]

    @property
    def labelled(self) -> dict[Domain, str]:
        """The domains whose truth is known, each with the name that a figure gives it."""
        names: dict[Domain, str] = {"mc": f"MC, {self.scores.judged}"}
        return names | ({"target": self.target_name} if self.scores.has_truth else {})

    def truth(self, domain: Domain) -> NDArray[np.int32]:
        """(N,) true class of a domain of :attr:`labelled`."""
        label = self.scores.label(domain)
        assert label is not None
        return label

    def title(self, feature: str) -> tuple[str, str]:
        """Name and unit of a feature, for an axis."""
        titles, units = self._looks["titles"], self._looks["units"]
        return readable(titles.get(feature, feature)), readable(units.get(feature, ""))

    def tick_title(self, feature: str) -> str:
        """The feature's title in short lines, for an axis that has a tick for each."""
        return wrapped(self.title(feature)[0])

    @cached_property
    def most_shifted(self) -> tuple[str, ...]:
        """The features that differ most between MC and target, :data:`FEATURES` of them."""
        try:
            diagnosis = read_json(RunPaths(self.folder).diagnosis, Diagnosed)
            ranked = [feature["name"] for feature in diagnosis.get("features", ())]
        except RunError:
            ranked = []
        known = self.scores.features
        return tuple(dict.fromkeys(n for n in (*ranked, *known) if n in known))[:FEATURES]

    @property
    def fewer_features(self) -> str:
        """What is left out of what is drawn by default, and how to get it; "" if nothing is."""
        left = len(self.scores.features) - len(self.most_shifted)
        command = command_line("plot", self.folder, "--only", "data_mc")
        return f"the {left:,} features that differ less are not drawn: {command}" if left else ""

    @cached_property
    def teacher(self) -> str | None:
        """The teacher of the recommendation if it is an alignment; else the first alignment."""
        try:
            metrics = read_json(RunPaths(self.folder).metrics, WithAdvice)
            recommended = metrics["recommendation"]["teacher"]
        except RunError:
            recommended = None
        aligned = self.scores.aligned
        return recommended if recommended in aligned else next(iter(aligned), None)


class Quantities(RunNames):
    """What can be drawn of a run: its columns, its processes, and data against MC in its scores."""

    @cached_property
    def columns(self) -> evaluation.RunColumns:
        """Everything that the events have, by name."""
        return evaluation.RunColumns(self.scores)

    @cached_property
    def test(self) -> dict[Domain, NDArray[np.bool_]]:
        """(N,) which events of each domain are in the test split; with folds all."""
        return {domain: self.scores.rows(domain, "test") for domain in DOMAINS}

    def prediction(self, domain: Domain, method: str) -> NDArray[np.floating]:
        """(n, C) scores of a method, or decisions of a reconstruction, on the test split."""
        read = self.scores.decision if method in self.scores.decisions else self.scores.score
        return read(domain, method)[self.test[domain]]

    def test_truth(self, domain: Domain) -> tuple[NDArray[np.int32], NDArray[np.floating]]:
        """True class and weight of the events of the test split."""
        rows = self.test[domain]
        return self.truth(domain)[rows], self.scores.column(domain, "weight")[rows]

    def rows(
        self, domain: Domain, cut: str | None, split: Literal["all"] | Split
    ) -> NDArray[np.bool_]:
        """(N,) which events of a domain are in a split and pass a cut."""
        rows = self.scores.rows(domain, *(SPLITS if split == "all" else (split,)))
        return rows if cut is None else rows & self.columns.passing(domain, cut)

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
        weight = self.columns.column("mc", "weight")
        content = np.bincount(sample, weight, minlength=len(self.scores.samples))
        present = np.bincount(sample, minlength=len(content)) > 0
        order = [i for i in np.argsort(-content, kind="stable") if present[i]]
        kept, rest = order[:_PROCESSES], order[_PROCESSES:]
        # Small at the bottom, so that a logarithmic axis shows every process.
        names = ["other"] * bool(rest)
        names += [self._process(self.scores.samples[i]) for i in reversed(kept)]
        index = np.zeros(len(content), dtype=np.intp)
        for place, i in enumerate(reversed(kept)):
            index[i] = place + bool(rest)
        return index[sample], tuple(names)

    def score(
        self,
        method: str,
        signal: int,
        *,
        by: Literal["class", "process"],
        scale: bool = False,
        edges: NDArray[np.float64] | None = None,
        cut: str | None = None,
        blind: tuple[float, float] | None = None,
    ) -> DataMC:
        """Data and MC in a method's score of a class, on the test split.

        ``by`` is what the MC is split by, and ``scale`` normalises it to the target. There are 25
        bins from 0 to 1 by default; ``cut`` says which events are shown, ``blind`` in which window
        no data are.
        """
        rows = {d: self.rows(d, cut, "test") for d in DOMAINS} if cut else self.test
        mc, target = (self.scores.score(d, method)[rows[d], signal] for d in DOMAINS)
        weights = [self.columns.column(d, "weight")[rows[d]] for d in DOMAINS]
        index, names = self.classes if by == "class" else self.processes
        edges = np.linspace(0.0, 1.0, 26) if edges is None else edges
        (mc, target), _ = folded(edges, mc, target)
        numbers = evaluation.data_mc(
            mc, weights[0], index[rows["mc"]], names, target, weights[1], edges,
            normalise=scale or self.scale_mc, blind=blind,
        )  # fmt: skip
        varied = self.scores.varied(method)
        if varied is None:
            return numbers
        sides = [
            stats.fill(np.clip(side[rows["mc"], signal], edges[0], edges[-1]), weights[0], edges)[0]
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


def require_known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Refuse classes, methods or alignments that the run does not have.

    Raises:
        ConfigError: one of ``names`` is not among ``known``.
    """
    for name in names:
        if name not in known:
            mend = suggestion(name, known)
            raise ConfigError(f"no {what} {name!r} in this run", where="plots.figures", mend=mend)
