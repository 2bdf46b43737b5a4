"""Everything that a figure can show of the events of a run, by name or as an expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, HepdannError, RunError
from ..expressions import parse
from ..registry import ORACLE, PRIOR, SOURCE_ONLY, calibration_of, suggestion
from ..store.model_file import ModelHeader, read_header
from ..store.paths import RunPaths
from ..store.scores_reader import Domain, RunScores, TensorRows
from ..tensors import column_at

SIDES = "up", "down"  # of a calibration that is changed by an error


@dataclass(frozen=True)
class ScoreNames:
    """The names that a score has in expressions.

    ``method`` is whose scores ``score`` and ``score.<class>`` are, if there are such.
    """

    classes: tuple[str, ...]
    methods: tuple[str, ...]
    method: str | None = None

    def score(self, name: str) -> tuple[str, int] | None:
        """Method and class of a score's name; ``None`` of another name."""
        kind, _, rest = name.partition(".")
        method, _, class_ = rest.rpartition(".")
        if kind != "score":
            return None
        if not rest:
            return None if self.method is None else (self.method, len(self.classes) - 1)
        if rest in self.methods:
            return (rest, 1) if len(self.classes) == 2 else None
        if method in self.methods and class_ in self.classes:
            return method, self.classes.index(class_)
        if self.method is not None and rest in self.classes:
            return self.method, self.classes.index(rest)
        return None

    def is_score(self, text: str) -> bool:
        """Whether an expression is nothing but a score."""
        root = parse(text, what="variable").root
        return root.kind == "name" and self.score(str(root.value)) is not None

    def canonical(self, text: str) -> Any:
        """The tree of an expression with one name for each score: equal ones compare equal."""
        return self._canonical(parse(text, what="variable").root)

    def _canonical(self, node: Any) -> Any:
        score = self.score(str(node.value)) if node.kind == "name" else None
        if score is not None:
            return replace(node, value=f"score.{score[0]}.{self.classes[score[1]]}")
        return replace(node, operands=tuple(map(self._canonical, node.operands)))

    def canonical_scores(self, methods: Sequence[str] | None, signal: str | None) -> list[Any]:
        """What :meth:`canonical` gives for methods' scores, by default all, of the last class."""
        class_ = self.classes[-1] if signal is None else signal
        return [self.canonical(f"`score.{name}.{class_}`") for name in methods or self.methods]


class RunColumns:
    """The columns of both domains of a run, row for row as in its ``scores.h5``.

    There are the features, ``weight``, ``score.<method>`` (of the last of two classes;
    ``score.<method>.<class>`` of any), ``domain_score.<method>``, and what stands only in the
    tensor file that the run was trained on: spectators, and ``weights.<name>`` of MC. Names that
    are no identifiers go between backquotes in an expression. Labels are not among them.

    Args:
        scores: of the run.
        method: whose score ``score`` (of the last class) and ``score.<class>`` are; without one,
            these names are not known.
        calibration: "up" or "down" gives the scores of MC with its calibration changed by an error,
            where MC passes one.
        variation: of the tensor file, which gives MC its features and scores.
    """

    def __init__(
        self,
        scores: RunScores,
        method: str | None = None,
        calibration: str | None = None,
        variation: str | None = None,
    ) -> None:
        self._scores = scores
        self._method = method
        self._calibration, self._variation = calibration, variation
        self.names = ScoreNames(scores.classes, scores.methods, method)
        self._read: dict[tuple[Domain, str, str | None], NDArray[Any]] = {}
        self._missing = ""  # why the tensor file is of no use

    def values(self, domain: Domain, text: str, aligned: str | None = None) -> NDArray[Any]:
        """(N,) float64 of an expression of columns; of the target after an alignment, if given.

        Raises:
            ConfigError: it does not parse, or names a column that is not there.
            RunError: it needs the tensor file, which is gone or another one.
        """
        expression = parse(text, what="variable")
        size = len(self.column(domain, "weight"))
        lookup = partial(self.column, domain, aligned=aligned, where=expression.where)
        return np.asarray(expression.evaluate(lookup, size), dtype=np.float64)

    def passing(self, domain: Domain, cut: str, aligned: str | None = None) -> NDArray[np.bool_]:
        """(N,) which events pass a condition; NaN does not. Raises as :meth:`values` does."""
        expression = parse(cut, what="cut")
        size = len(self.column(domain, "weight"))
        lookup = partial(self.column, domain, aligned=aligned, where=expression.where)
        return np.asarray(expression.condition(lookup, size))

    def column(
        self, domain: Domain, name: str, aligned: str | None = None, *, where: str | None = None
    ) -> NDArray[Any]:
        """One column by its name. Raises as :meth:`values` does."""
        aligned = aligned if domain == "target" and name in self._scores.features else None
        key = (domain, name, aligned)
        if key not in self._read:
            self._read[key] = self._fetch(domain, name, aligned, where)
        return self._read[key]

    def _fetch(
        self, domain: Domain, name: str, aligned: str | None, where: str | None
    ) -> NDArray[Any]:
        scores = self._scores
        if name == "score" and self._method is not None:
            return self._scored(domain, self._method)[:, -1]
        if name in scores.features:
            table = "features" if aligned is None else f"aligned/{aligned}"
            return self._features(domain, table)[:, scores.features.index(name)]
        if name == "weight":
            return scores.column(domain, "weight")
        kind, _, rest = name.partition(".")
        if kind == "score" and rest:
            return self._score(domain, rest, where)
        if kind == "domain_score" and rest in scores.methods:
            values = scores.domain_score(domain, rest)
            if values is None:
                raise ConfigError(f"method {rest} has no domain head", where=where)
            return values
        return self._stored(domain, name, where)

    def _features(self, domain: Domain, table: str) -> NDArray[Any]:
        key = (domain, f"/{table}", None)
        if key not in self._read:
            varied = domain == "mc" and self._variation is not None
            self._read[key] = self.varied if varied else self._scores.column(domain, table)
        return self._read[key]

    @cached_property
    def varied(self) -> NDArray[np.float32]:
        """(N, F) features of MC in the variation; NaN alone where it does not have the event."""
        rows = self._tensor_rows["mc"]
        return column_at(rows.tensors, "mc", f"variations/{self._variation}", rows.rows)

    @property
    def present(self) -> NDArray[np.bool_]:
        """(N,) whether the variation has each event of MC."""
        if self._variation is None:
            return np.ones(len(self.column("mc", "weight")), np.bool_)
        return np.asarray(~np.isnan(self.varied).all(axis=1))

    def _score(self, domain: Domain, rest: str, where: str | None) -> NDArray[Any]:
        classes, methods = self._scores.classes, self._scores.methods
        known = self.names.score(f"score.{rest}")
        if known is None and rest in methods:
            raise ConfigError(
                f"score.{rest} needs a class", where=where, mend=f"write score.{rest}.<class>"
            )
        if known is None:
            raise ConfigError(
                f"no score {rest!r} in this run",
                where=where,
                mend=f"methods are {', '.join(methods)}; classes are {', '.join(classes)}",
            )
        return self._scored(domain, known[0])[:, known[1]]

    def _scored(self, domain: Domain, method: str) -> NDArray[Any]:
        """(N, C) scores of a method; of MC those of the calibration or variation asked for."""
        if domain == "mc" and self._variation is not None:
            from ..inference import open_predictor  # brings torch

            predictor = open_predictor(self._scores.path.parent, method, "source")
            return predictor.score(self.varied, self._scores.column("mc", "event_id"))
        if domain == "mc" and self._calibration:
            varied = self._scores.varied(method)
            if varied is not None:
                return np.asarray(varied[SIDES.index(self._calibration)])
        return self._scores.score(domain, method)

    @property
    def variations(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of MC's further weights, and of the variations of its features.

        Raises:
            RunError: the tensor file that they stand in is gone, or has none.
        """
        rows = self._tensor_rows.get("mc")
        names = ((), ()) if rows is None else (rows.tensors.weights, rows.tensors.variations)
        if names == ((), ()):
            why = self._missing or "the tensor file of the run holds none"
            mend = "name them under convert.weights or variations, and convert and train again"
            what = f"no variations: {why}"
            raise RunError(what, where=self._scores.path.parent, mend=mend)
        return names

    def _stored(self, domain: Domain, name: str, where: str | None) -> NDArray[Any]:
        """A column of the tensor file, brought to the rows of the run."""
        weight = name.removeprefix("weights.") if name.startswith("weights.") else None
        rows = self._tensor_rows.get(domain)
        known = () if rows is None else rows.tensors.spectators
        if weight is None and name not in known:
            names = [*self._scores.features, *known, "weight"]
            mend = suggestion(name, names)
            if rows is None:
                mend = f"spectators stand in the tensor file: {self._missing}"
            raise ConfigError(f"no column {name!r} in this run", where=where, mend=mend)
        if rows is None:
            raise RunError(
                f"{name!r} stands in the tensor file: {self._missing}", where=self._scores.path
            )
        tensors, source = rows.tensors, rows.domain
        if weight is not None and (source != "mc" or weight not in tensors.weights):
            raise ConfigError(
                f"no weight {weight!r} in {domain}",
                where=where,
                mend=f"of MC there are {', '.join(tensors.weights) or 'none'}",
            )
        column = tensors.column(source, name if weight is None else f"weights/{weight}")
        return column[rows.rows]

    @cached_property
    def _tensor_rows(self) -> dict[Domain, TensorRows]:
        """The rows of the tensor file by domain; none where it is of no use, which is noted."""
        domains: tuple[Domain, Domain] = ("mc", "target")
        try:
            return {domain: self._scores.tensor_rows(domain) for domain in domains}
        except HepdannError as error:
            self._missing = str(error)
            return {}


def assumed_fractions(folder: Path, method: str) -> str:
    """At which class fractions of the data a method's score was fitted to them, in words.

    Distributions of MC and data are made alike at some class fractions, those of MC or estimated
    ones, and then agree at these: a fit of templates gives them back. Empty where nothing was
    fitted to the data, where a rigid map was, together with the fractions, and where the run's
    model, which says so, is gone.
    """
    if method in (SOURCE_ONLY, PRIOR, ORACLE) or not RunPaths(folder).model.is_file():
        return ""
    header = read_header(RunPaths(folder).model)
    model = header if isinstance(header, ModelHeader) else header.folds[0]
    share = np.exp(model.correction or [0.0] * len(model.classes))
    if name := calibration_of(method):
        fitted = model.calibrations[name]
        if fitted["family"] is None or not fitted["held"]:
            return ""
        share = np.divide(*(np.maximum(fitted[n], 1e-9) for n in ("fractions", "mc_fractions")))
    at = [f"{c} at {s:.2f}" for c, s in zip(model.classes[1:], share[1:], strict=True)]
    return (
        f"{method} was fitted to these data with {', '.join(at)} of its fraction in MC: a fit of "
        "a signal strength gives about that back, with an error that does not know it"
    )
