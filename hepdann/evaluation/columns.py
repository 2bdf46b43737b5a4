"""Everything that a figure can show of the events of a run, by name or as an expression."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, HepdannError, RunError
from ..expressions import parse
from ..registry import nearest
from ..store.scores import Domain, RunScores
from ..store.tensor_rows import TensorRows

__all__ = ["Columns"]


class Columns:
    """The columns of both domains of a run, row for row as in its ``scores.h5``.

    There are the features, ``weight``, ``score.<method>`` (of the last of two classes;
    ``score.<method>.<class>`` of any), ``domain_score.<method>``, and what stands only in the
    tensor file that the run was trained on: spectators, and ``weights.<name>`` of MC. Names that
    are no identifiers go between backquotes in an expression. Labels are not among them.

    Args:
        scores: of the run.
    """

    def __init__(self, scores: RunScores) -> None:
        self._scores = scores
        self._read: dict[tuple[Domain, str, str | None], NDArray[Any]] = {}

    def values(self, domain: Domain, text: str, aligned: str | None = None) -> NDArray[Any]:
        """An expression of columns.

        Args:
            domain: "mc" or "target".
            text: the expression.
            aligned: take the target's features after this alignment map.

        Returns:
            (N,) float64.

        Raises:
            ConfigError: it does not parse, or names a column that is not there.
            RunError: it needs the tensor file, which is gone or another one.
        """
        expression = parse(text, what="variable")
        size = len(self.column(domain, "weight"))

        def lookup(name: str) -> NDArray[Any]:
            return self.column(domain, name, aligned, where=expression.where)

        return np.asarray(expression.evaluate(lookup, size), dtype=np.float64)

    def passing(self, domain: Domain, cut: str, aligned: str | None = None) -> NDArray[np.bool_]:
        """(N,) which events pass a condition; NaN does not. Raises as :meth:`values` does."""
        expression = parse(cut, what="cut")
        size = len(self.column(domain, "weight"))

        def lookup(name: str) -> NDArray[Any]:
            return self.column(domain, name, aligned, where=expression.where)

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
        if name in scores.features:
            table = "features" if aligned is None else f"aligned/{aligned}"
            return self._features(domain, table)[:, scores.features.index(name)]
        if name == "weight":
            return scores.column(domain, "weight")
        kind, _, rest = name.partition(".")
        if kind == "score" and rest:
            return self._score(domain, rest, where)
        if kind == "domain_score" and rest in scores.methods:
            found = scores.domain_score(domain, rest)
            if found is None:
                raise ConfigError(f"method {rest} has no domain head", where=where)
            return found
        return self._stored(domain, name, where)

    def _features(self, domain: Domain, table: str) -> NDArray[Any]:
        key = (domain, f"/{table}", None)
        if key not in self._read:
            self._read[key] = self._scores.column(domain, table)
        return self._read[key]

    def _score(self, domain: Domain, rest: str, where: str | None) -> NDArray[Any]:
        classes, methods = self._scores.classes, self._scores.methods
        if rest in methods:
            if len(classes) != 2:
                raise ConfigError(
                    f"score.{rest} needs a class", where=where, mend=f"write score.{rest}.<class>"
                )
            return self._scores.score(domain, rest)[:, 1]
        method, _, name = rest.rpartition(".")
        if method not in methods or name not in classes:
            raise ConfigError(
                f"no score {rest!r} in this run",
                where=where,
                mend=f"methods are {', '.join(methods)}; classes are {', '.join(classes)}",
            )
        return self._scores.score(domain, method)[:, classes.index(name)]

    def _stored(self, domain: Domain, name: str, where: str | None) -> NDArray[Any]:
        """A column of the tensor file, brought to the rows of the run."""
        weight = name.removeprefix("weights.") if name.startswith("weights.") else None
        found = self._files.get(domain)
        known = () if found is None else found.tensors.spectators
        if weight is None and name not in known:
            names = [*self._scores.features, *known, "weight"]
            near = nearest(name, names)
            if found is None:
                mend = f"spectators stand in the tensor file: {self._missing}"
            else:
                mend = f"did you mean {near}?" if near else f"there are {', '.join(names)}"
            raise ConfigError(f"no column {name!r} in this run", where=where, mend=mend)
        if found is None:
            raise RunError(
                f"{name!r} stands in the tensor file: {self._missing}", where=self._scores.path
            )
        tensors, source = found.tensors, found.domain
        if weight is not None and (source != "mc" or weight not in tensors.weights):
            raise ConfigError(
                f"no weight {weight!r} in {domain}",
                where=where,
                mend=f"of MC there are {', '.join(tensors.weights) or 'none'}",
            )
        column = tensors.column(source, name if weight is None else f"weights/{weight}")
        return column[found.rows]

    @cached_property
    def _missing(self) -> str:
        """Why the tensor file is of no use."""
        return self._found[1]

    @cached_property
    def _files(self) -> dict[Domain, TensorRows]:
        return self._found[0]

    @cached_property
    def _found(self) -> tuple[dict[Domain, TensorRows], str]:
        """The rows of the tensor file by domain, and why there are none."""
        domains: tuple[Domain, Domain] = ("mc", "target")
        try:
            return {domain: self._scores.tensor_rows(domain) for domain in domains}, ""
        except HepdannError as error:
            return {}, str(error)
