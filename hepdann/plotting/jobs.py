"""What a figure of a run is: its numbers first, then the axes; figures that users add."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any, TypeVar

from matplotlib.axes import Axes

from ..errors import ConfigError
from ..registry import FIGURES
from ..store.scores_reader import RunScores
from .axes.frame import finish, new_axes
from .quantities import Quantities

_Function = TypeVar("_Function", bound=Callable[..., Any])

_LONGEST = 90  # letters of a name; there is room for the number of a namesake


@dataclass(frozen=True)
class FigureJob:
    """One figure to draw.

    Attributes:
        kind: what ``--only`` calls it.
        name: of its files.
        numbers: computes what it shows; ``None`` where there is nothing to show.
        draw: draws the numbers.
        simulation: whether no detector data are in it.
        asked: whether it is drawn only when its own name is given.
        rest: whether it is drawn only when its name or its kind is given.
    """

    kind: str
    name: str
    numbers: Callable[[], Any]
    draw: Callable[[Any], Axes]
    simulation: bool = True
    asked: bool = False
    rest: bool = False


@dataclass(frozen=True)
class OwnFigure:
    """A figure that a user registered: computes numbers of a run's scores, draws them on axes."""

    numbers: Callable[[RunScores], Any]
    draw: Callable[[Any, Axes], object]


def as_figure(
    name: str, thing: object, *, numbers: Callable[[RunScores], Any] | None = None
) -> OwnFigure:
    """The figure that a function draws.

    Raises:
        ConfigError: it is no function, or nothing says what it shows.
    """
    if isinstance(thing, OwnFigure):
        return thing
    if not callable(thing) or numbers is None:
        raise ConfigError(
            f"the figure {name!r} lacks its numbers",
            where="plots.figures",
            mend=f"write @hepdann.register.figure({name!r}, numbers=…) above what draws it",
        )
    return OwnFigure(numbers, thing)


def jobs_of(run: Quantities) -> Iterator[FigureJob]:
    """Every figure of a run; of those of users nothing is imported before they are drawn."""

    def numbers(kind: str) -> Any:
        return FIGURES[kind].numbers(run.scores)

    def draw(kind: str, numbers: Any) -> Axes:
        (ax,) = new_axes()
        FIGURES[kind].draw(numbers, ax)
        finish(ax)
        return ax

    for kind in FIGURES:
        if kind in FIGURES.own:
            yield from FIGURES[kind](run)
        else:
            yield FigureJob(
                kind, kind, partial(numbers, kind), partial(draw, kind), run.is_simulation
            )


def register(name: str, *, numbers: Callable[[RunScores], Any]) -> Callable[[_Function], _Function]:
    """Register a figure of your own: ``@hepdann.register.figure`` above what draws it.

    It is drawn where its name is given, in ``--only`` or ``plots.figures``::

        def means(scores):  # hepdann.evaluation.RunScores
            return {m: float(scores.score("mc", m)[:, 1].mean()) for m in scores.methods}

        @hepdann.register.figure("mean_score", numbers=means)
        def draw(numbers, ax):
            ax.bar(list(numbers), list(numbers.values()))

    What ``numbers`` computes is also written beside the figure, as JSON; ``None`` where a run has
    nothing to show.

    Raises:
        ConfigError: the name is taken by hepdann or unusable.
    """
    return FIGURES.decorator(name, numbers=numbers)


def distinct(jobs: Sequence[FigureJob]) -> list[FigureJob]:
    """The jobs with file names of their own."""
    names = distinct_names([job.name for job in jobs])
    return [replace(job, name=name) for job, name in zip(jobs, names, strict=True)]


def distinct_names(names: Sequence[str]) -> list[str]:
    """Names of which no two are alike: of two that are ``a_b`` the second becomes ``a_b_2``."""
    used, result = set(names), list[str]()
    for name in names:
        if name in result:
            name = next(new for i in count(2) if (new := f"{name}_{i}") not in used)
            used.add(name)
        result.append(name)
    return result


def file_name(*parts: str) -> str:
    """A name for a file, of parts that may hold anything.

    A long one is cut, and a hash of the whole keeps it apart from others that start alike.
    """
    whole = "_".join(parts)
    name = re.sub(r"[^\w.+-]+", "_", whole).strip("_").lstrip(".") or "figure"
    if len(name) <= _LONGEST and len(name.encode()) <= 2 * _LONGEST:
        return name
    digest = hashlib.sha256(whole.encode(errors="surrogatepass")).hexdigest()[:8]
    start = name.encode(errors="replace")[: _LONGEST - 9].decode(errors="ignore")
    return f"{start.rstrip('_.')}_{digest}"
