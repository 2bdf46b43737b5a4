"""Opens a run, and names what its figures show: classes, methods, domains, features, colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..config import Config, load_config
from ..errors import ConfigError, RunError
from ..inputs import read_json
from ..registry import nearest
from ..store.content import WithAdvice
from ..store.paths import RunPaths
from ..store.scores.reader import Domain, RunScores, open_scores
from .axes.styles import class_colours, readable, wrapped


@dataclass(frozen=True, eq=False)
class RunNames:
    """A run with the names and colours that its figures use.

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
    def open(cls, folder: Path, *, scale_mc: bool = False) -> Self:
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
            title: given[name]
            for name, title in zip(self.scores.classes, self.class_names, strict=True)
            if name in given
        }

    @property
    def palette(self) -> dict[str, str]:
        """The colour of every class in every figure, by the name that a figure shows."""
        return class_colours(self.class_names) | self.class_colours

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
        if name is None:
            return len(classes) - 1
        require("class", name, classes)
        return classes.index(name)

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
        for name in names or ():
            require("method", name, self.scores.methods)
        if names is not None:
            return names
        if domain == "target":
            return self.scores.methods
        return [m for m in self.candidates if m not in self.scores.aligned]

    @property
    def labelled(self) -> list[tuple[Domain, str]]:
        """The domains whose truth is known, each with the name that a figure gives it."""
        domains: list[tuple[Domain, str]] = [("mc", f"MC, {self.scores.judged}")]
        return domains + ([("target", self.target_name)] if self.scores.has_truth else [])

    def truth(self, domain: Domain) -> NDArray[np.int32]:
        """(N,) true class of a domain of :attr:`labelled`."""
        label = self.scores.column("mc", "label") if domain == "mc" else self.scores.truth()
        assert label is not None
        return label

    def title(self, feature: str) -> tuple[str, str]:
        """Name and unit of a feature, for an axis."""
        titles, units = self._looks["titles"], self._looks["units"]
        return readable(titles.get(feature, feature)), readable(units.get(feature, ""))

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


def require(what: str, name: str, known: Sequence[str]) -> None:
    """Refuse a class, method or alignment that the run does not have.

    Raises:
        ConfigError: ``name`` is not among ``known``.
    """
    if name not in known:
        near = nearest(name, known)
        mend = f"did you mean {near}?" if near else f"there are {', '.join(known) or 'none'}"
        raise ConfigError(f"no {what} {name!r} in this run", where="plots.figures", mend=mend)
