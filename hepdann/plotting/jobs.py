"""Which figures a run has, and how each is drawn: its numbers first, then the axes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any, Literal

from matplotlib.axes import Axes

from ..evaluation import DataMC
from ..evaluation.curves import learning_curves, run_roc
from ..stats import Roc
from .curves import roc
from .losses import loss
from .quantities import Quantities, Stages
from .stacks import data_mc, scores
from .styles import method_title, sentence

__all__ = [
    "Job",
    "candidates",
    "distinct",
    "distinct_names",
    "file_name",
    "jobs_of",
    "on_mc",
    "signals",
]

Domain = Literal["mc", "target"]

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


def jobs_of(run: Quantities) -> list[Job]:
    """The figures that every run has: losses, ROC curves, scores, data against MC."""
    return [*_loss(run), *_rocs(run), *_scores(run), *_data_mc(run)]


def distinct(jobs: Sequence[Job]) -> list[Job]:
    """The jobs with file names of their own."""
    names = distinct_names([job.name for job in jobs])
    return [replace(job, name=name) for job, name in zip(jobs, names, strict=True)]


def distinct_names(names: Sequence[str]) -> list[str]:
    """Names of which no two are alike: of two that are ``a_b`` the second becomes ``a_b_2``."""
    taken, result = set(names), list[str]()
    for name in names:
        if name in result:
            name = next(new for i in count(2) if (new := f"{name}_{i}") not in taken)
            taken.add(name)
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


def signals(run: Quantities) -> list[tuple[int, str, str]]:
    """Index, name and file-name suffix of each class whose score is shown."""
    names = run.class_names
    if len(names) == 2:
        return [(1, names[1], "")]
    return [(i, name, run.scores.classes[i]) for i, name in enumerate(names)]


def candidates(run: Quantities) -> tuple[str, ...]:
    """The methods without the oracle, which was trained on the target: MC means nothing to it."""
    return tuple(method for method in run.scores.methods if method != "oracle")


def on_mc(run: Quantities) -> tuple[str, ...]:
    """Methods that differ on MC: an alignment maps the target, its networks are source-only's."""
    return tuple(m for m in candidates(run) if m not in run.scores.aligned)


def _loss(run: Quantities) -> Iterator[Job]:
    path = run.folder / "history.csv"
    if path.exists():  # the domain error is that of MC and target
        yield Job("loss", "loss", lambda: learning_curves(path), loss, run.is_simulation)


def _rocs(run: Quantities) -> Iterator[Job]:
    domains: list[tuple[Domain, str]] = [("mc", "MC, test split")]
    if run.scores.has_truth:
        domains.append(("target", run.target_name))
    for index, name, suffix in signals(run):
        binary = len(run.scores.classes) == 2
        background = run.class_names[0] if binary else "background"
        for domain, title in domains:
            draw = partial(roc, signal=name, background=background, title=title)
            numbers = partial(_roc, run, index, domain)
            yield Job("roc", file_name(f"roc_{domain}", suffix), numbers, draw, True)


def _roc(run: Quantities, index: int, domain: Domain) -> dict[str, Roc] | None:
    methods = run.scores.methods if domain == "target" else on_mc(run)
    found = {m: run_roc(run.scores, domain, m, signal=index) for m in methods}
    return {method: curve for method, curve in found.items() if curve is not None} or None


def _scores(run: Quantities) -> Iterator[Job]:
    for method in candidates(run):
        for index, name, suffix in signals(run):
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


def _data_mc(run: Quantities) -> Iterator[Job]:
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
    for method in candidates(run):
        for index, name, suffix in signals(run):
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
