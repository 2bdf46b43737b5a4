"""Which figures a run has, and how each is drawn: its numbers first, then the axes."""

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
from ..evaluation import DataMC
from ..evaluation.curves import learning_curves, run_roc
from ..registry import FIGURES
from ..stats import Roc
from ..store.paths import RunPaths
from ..store.scores.reader import Domain, RunScores
from .axes.frame import finish, new_axes
from .axes.styles import method_title, sentence
from .figures.losses import loss
from .figures.roc import roc
from .figures.stacks import data_mc, scores
from .quantities import Quantities, Stages

_Function = TypeVar("_Function", bound=Callable[..., Any])

_LONGEST = 90  # letters of a name; there is room for the number of a namesake


@dataclass(frozen=True)
class Job:
    """One figure to draw.

    Attributes:
        kind: what ``--only`` calls it.
        name: of its files.
        numbers: computes what it shows; ``None`` where there is nothing to show.
        draw: draws the numbers.
        simulation: whether no detector data are in it.
        asked: whether it is drawn only when its own name is given.
    """

    kind: str
    name: str
    numbers: Callable[[], Any]
    draw: Callable[[Any], Axes]
    simulation: bool
    asked: bool = False


@dataclass(frozen=True)
class OwnFigure:
    """A figure that a user registered.

    Attributes:
        numbers: computes what it shows, of the scores of a run.
        draw: draws the numbers on axes.
    """

    numbers: Callable[[RunScores], Any]
    draw: Callable[[Any, Axes], object]

    def on_new_axes(self, numbers: Any) -> Axes:
        """Draw the numbers in a figure of their own."""
        (ax,) = new_axes()
        self.draw(numbers, ax)
        finish(ax)
        return ax


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


def jobs_of(run: Quantities) -> Iterator[Job]:
    """Every figure of a run; of those of users nothing is imported before they are drawn."""
    for kind in FIGURES:
        if kind in FIGURES.own:
            yield from FIGURES[kind](run)
        else:
            numbers, draw = partial(_own_numbers, kind, run), partial(_own_drawn, kind)
            yield Job(kind, kind, numbers, draw, run.is_simulation)


def _own_numbers(kind: str, run: Quantities) -> Any:
    return FIGURES[kind].numbers(run.scores)


def _own_drawn(kind: str, numbers: Any) -> Axes:
    figure: OwnFigure = FIGURES[kind]
    return figure.on_new_axes(numbers)


def register(name: str, *, numbers: Callable[[RunScores], Any]) -> Callable[[_Function], _Function]:
    """Register a figure of your own: ``@hepdann.register.figure`` above what draws it.

    It is drawn where its name is given, in ``--only`` or ``plots.figures``::

        def means(scores):  # hepdann.evaluation.RunScores
            return {m: float(scores.score("mc", m)[:, 1].mean()) for m in scores.methods}

        @hepdann.register.figure("mean_score", numbers=means)
        def draw(numbers, ax):
            ax.bar(list(numbers), list(numbers.values()))

    Args:
        name: of the figure and its files, plain and not one of hepdann's own.
        numbers: computes what the figure shows, which is also written beside it, as JSON; ``None``
            where a run has nothing to show.

    Returns:
        A decorator that gives the function back.

    Raises:
        ConfigError: the name is taken by hepdann or unusable.
    """
    return FIGURES.decorator(name, numbers=numbers)


def distinct(jobs: Sequence[Job]) -> list[Job]:
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


def loss_jobs(run: Quantities) -> Iterator[Job]:
    """The losses, if the run has a history."""
    path = RunPaths(run.folder).history
    if path.exists():  # the domain error is that of MC and target
        yield Job("loss", "loss", lambda: learning_curves(path), loss, run.is_simulation)


def roc_jobs(run: Quantities) -> Iterator[Job]:
    """Background rejection against signal efficiency."""
    for index, name, suffix in run.signals:
        for domain, title in run.labelled:
            draw = partial(roc, signal=name, background=run.background, title=title)
            numbers = partial(_roc, run, index, domain)
            yield Job("roc", file_name(f"roc_{domain}", suffix), numbers, draw, True)


def _roc(run: Quantities, index: int, domain: Domain) -> dict[str, Roc] | None:
    methods = run.methods(None, domain)
    curves = {m: run_roc(run.scores, domain, m, signal=index) for m in methods}
    return {method: curve for method, curve in curves.items() if curve is not None} or None


def score_jobs(run: Quantities) -> Iterator[Job]:
    """The score of each MC class and of the target."""
    for method in run.candidates:
        for index, name, suffix in run.signals:
            numbers = partial(run.score, method, index, by="class", scale=True)
            title = file_name("scores", method, suffix)
            draw = partial(_score_by_class, run, method, index, name)
            yield Job("scores", title, numbers, draw, run.is_simulation)


def _score_by_class(run: Quantities, method: str, index: int, name: str, numbers: DataMC) -> Axes:
    return scores(
        numbers,
        name=sentence(f"{name} score"),
        data_name=run.target_name,
        title=method_title(method),
        colours=run.class_colours,
        scale=run.scale(index, by="class", scale=True),
    )


def data_mc_jobs(run: Quantities) -> Iterator[Job]:
    """Features and scores of the target over the stack of MC."""
    for index, feature in enumerate(run.scores.features):
        for aligned in (None, *run.scores.aligned):
            after = () if aligned is None else ("after", aligned)
            name = file_name("data_mc", feature, *after)
            yield Job(
                "data_mc",
                name,
                partial(run.feature, index, aligned),
                partial(_feature, run, feature, aligned),
                run.is_simulation,
                asked=aligned not in (None, run.teacher),
            )
    for method in run.candidates:
        for index, name, suffix in run.signals:
            draw = partial(_score_by_process, run, method, index, name)
            title = file_name("data_mc_score", method, suffix)
            numbers = partial(run.score, method, index, by="process")
            yield Job("data_mc", title, numbers, draw, run.is_simulation)


def _score_by_process(run: Quantities, method: str, index: int, name: str, numbers: DataMC) -> Axes:
    return data_mc(
        numbers,
        name=sentence(f"{name} score"),
        data_name=run.target_name,
        colours=run.colours,
        title=method_title(method),
        scale=run.scale(index, by="process", scale=False),
    )


def _feature(run: Quantities, feature: str, aligned: str | None, numbers: Stages) -> Axes:
    name, unit = run.title(feature)
    stage = "" if not run.scores.aligned else "before adaptation"
    return data_mc(
        numbers.shown,
        name,
        unit=unit,
        data_name=run.target_name,
        colours=run.colours,
        title=stage if aligned is None else f"after {method_title(aligned)}",
        folded=numbers.folded,
        sentinels=numbers.sentinels,
    )
