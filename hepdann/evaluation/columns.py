"""Everything that a figure can show of the events of a run, by name or as an expression."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, HepdannError, RunError
from ..expressions import parse
from ..inputs import read_json
from ..registry import nearest
from ..store.content import Files
from ..store.scores import Domain, RunScores
from ..tensors import is_pseudo, open_tensors

if TYPE_CHECKING:
    from ..tensors import Tensors

__all__ = ["Columns"]

# A tensor file, its domain, and which of its rows a run has; None for all of them.
_Place = tuple["Tensors", str, "NDArray[np.bool_] | None"]


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
        known = () if found is None else found[0].spectators
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
        tensors, source, keep = found
        if weight is not None and (source != "mc" or weight not in tensors.weights):
            raise ConfigError(
                f"no weight {weight!r} in {domain}",
                where=where,
                mend=f"of MC there are {', '.join(tensors.weights) or 'none'}",
            )
        column = tensors.column(source, name if weight is None else f"weights/{weight}")
        return column if keep is None else column[keep]

    @cached_property
    def _missing(self) -> str:
        """Why the tensor file is of no use."""
        return self._found[1]

    @cached_property
    def _files(self) -> dict[Domain, _Place]:
        return self._found[0]

    @cached_property
    def _found(self) -> tuple[dict[Domain, _Place], str]:
        """By domain: the file, its domain, and which of its rows the run has."""
        folder = self._scores.path.parent
        try:
            origin = read_json(folder / "origin.json", Files)
            mc = open_tensors(_beside(folder, origin["tensors"]))
            data = open_tensors(_beside(folder, origin["data"])) if origin["data"] else mc
        except HepdannError as error:
            return {}, str(error)
        files: dict[Domain, _Place]
        if self._scores.target_kind == "pseudo-data":
            stands_in = is_pseudo(mc.column("mc", "event_id"), mc.split_config.seed)
            files = {"mc": (mc, "mc", ~stands_in), "target": (mc, "mc", stands_in)}
        else:
            files = {"mc": (mc, "mc", None), "target": (data, "data", None)}
        for domain, (tensors, source, keep) in files.items():
            ids = tensors.column(source, "event_id")
            ids = ids if keep is None else ids[keep]
            if not np.array_equal(ids, self._scores.column(domain, "event_id")):
                return {}, f"{tensors.path} does not hold the events of this run any more"
        return files, ""


def _beside(folder: Path, stored: str) -> Path:
    """Where a file is now: where the run found it, or in a folder that holds the run's."""
    path = Path(stored)
    if path.exists() or path.is_absolute():
        return path
    places = (parent / path for parent in folder.resolve().parents)
    return next((place for place in places if place.exists()), path)
