"""Figures of what a run's scores tell of its nuisances."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ..evaluation.nuisances import BEST, PER_BIN, RAW, Nuisance, nuisances_of
from .figures.decorrelation import divergence, mean_score, shape
from .jobs import Job, file_name
from .quantities import Quantities


def nuisance_jobs(run: Quantities) -> Iterator[Job]:
    """The figures of each nuisance; none of a run without."""
    if not run.config.train.nuisance:
        return
    for one in nuisances_of(run.scores):
        title, unit = run.title(one.name)
        cut = "cut that keeps 50 % of the signal"
        yield Job(
            "nuisance", file_name("nuisance", one.name), partial(_cuts, run, one),
            partial(divergence, name=title), True,
        )  # fmt: skip
        yield Job(
            "nuisance", file_name("nuisance", one.name, "shape"),
            partial(_each, run, one, "shapes"),
            partial(shape, name=title, unit=unit, title=cut), True,
        )  # fmt: skip
        yield Job(
            "nuisance", file_name("nuisance", one.name, "score"),
            partial(_each, run, one, "profile", ranks=False),
            partial(mean_score, name=title, unit=unit), True,
        )  # fmt: skip


def _methods(run: Quantities, ranks: bool = True) -> list[str]:
    trained = run.config.train.methods
    known = [name for name in run.scores.methods if name == RAW or name in trained]
    return [*known, *([BEST, PER_BIN] if RAW in known and ranks else [])]


def _cuts(run: Quantities, one: Nuisance) -> dict[str, Any]:
    return {method: one.figures(method)["cuts"] for method in _methods(run)}


def _each(run: Quantities, one: Nuisance, what: str, ranks: bool = True) -> dict[str, Any]:
    return {method: getattr(one, what)(method) for method in _methods(run, ranks)}
