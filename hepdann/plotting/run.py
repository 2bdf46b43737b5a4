"""Every figure of a run, into its folder."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from matplotlib import rcParams
from matplotlib.axes import Axes

from ..config import PlotConfig
from ..config.names import nearest
from ..errors import ConfigError, RunError
from ..evaluation.curves import learning_curves, run_roc
from ..outputs import mend_of
from .curves import roc
from .frame import experiment_label, save
from .losses import loss
from .quantities import Quantities
from .stacks import data_mc, scores
from .styles import method_title, sentence, style

__all__ = ["KINDS", "figure_names", "plot_run"]

KINDS = ("loss", "roc", "scores", "data_mc")


@dataclass(frozen=True)
class _Job:
    """One figure to draw: its kind, its file name, and how."""

    kind: str
    name: str
    draw: Callable[[], Axes | None]
    simulation: bool


def plot_run(
    folder: str | Path,
    config: PlotConfig | None = None,
    only: Sequence[str] | None = None,
    *,
    output: str | Path | None = None,
    scale_mc: bool = False,
    progress: Callable[[int, int], None] | None = None,
    outlines: bool = False,
) -> list[Path]:
    """Draw the figures of a run.

    Nothing is written until all are drawn; then each file replaces its predecessor whole.

    Args:
        folder: of the run; ``scores.h5``, ``history.csv`` and ``config.yaml`` are read.
        config: how figures look; by default the ``plots`` section of the run's own config.
        only: kinds (``loss``, ``roc``, ``scores``, ``data_mc``) or names of single figures
            (``data_mc_pt``); by default all.
        output: where to; by default the run's ``plots``.
        scale_mc: normalise MC to the target's yield, and say so; by default it is absolute.
        progress: called with the number of figures drawn and that of all.
        outlines: letters in SVG are shapes, alike on every machine; by default they are text.

    Returns:
        The files, in the order of drawing.

    Raises:
        RunError: the folder holds no run, or not a whole one, or the figures cannot be written.
        ConfigError: an entry of ``only`` that this run has no figure for.
    """
    run = Quantities.open(Path(folder), scale_mc=scale_mc)
    look = run.config.plots if config is None else config
    jobs = _chosen(_jobs(run), only)
    target = Path(output) if output is not None else run.folder / "plots"
    with _writing(target), style(look.style):
        rcParams["svg.fonttype"] = "path" if outlines else "none"
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".drawing-", dir=target) as drawing:
            drawn: list[Path] = []
            for done, job in enumerate(jobs, start=1):
                drawn += _draw(job, look, Path(drawing))
                if progress is not None:
                    progress(done, len(jobs))
            return [path.replace(target / path.name) for path in drawn]


def figure_names(folder: str | Path) -> dict[str, str]:
    """Name and kind of every figure that :func:`plot_run` draws of a run.

    Raises:
        RunError: the folder holds no run, or not a whole one.
    """
    return {job.name: job.kind for job in _jobs(Quantities.open(Path(folder)))}


def _jobs(run: Quantities) -> list[_Job]:
    return _distinct([*_loss(run), *_rocs(run), *_scores(run), *_data_mc(run)])


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(
            f"the figures cannot be written: {reason}",
            where=folder,
            mend=mend_of(error),
        ) from error


def _draw(job: _Job, look: PlotConfig, folder: Path) -> list[Path]:
    ax = job.draw()
    if ax is None:
        return []
    experiment_label(
        ax,
        look.experiment,
        text=look.text,
        lumi=look.lumi,
        com=look.com,
        simulation=job.simulation,
        style=look.style,
    )
    return save(ax, folder / job.name, look.formats)


def _chosen(jobs: list[_Job], only: Sequence[str] | None) -> list[_Job]:
    if only is None:
        return jobs
    known = [*KINDS, *(job.name for job in jobs)]
    for entry in only:
        if entry not in known:
            near = nearest(entry, known)
            raise ConfigError(
                f"no figure {entry!r} in this run",
                where="--only",
                mend=f"did you mean {near}?" if near else f"choose of {', '.join(KINDS)}",
            )
    return [job for job in jobs if job.kind in only or job.name in only]


def _distinct(jobs: Sequence[_Job]) -> list[_Job]:
    """The jobs with file names of their own: of ``a/b`` and ``a b`` the second becomes a_b_2."""
    seen: dict[str, int] = {}
    result = []
    for job in jobs:
        seen[job.name] = seen.get(job.name, 0) + 1
        again = seen[job.name] > 1
        result.append(replace(job, name=f"{job.name}_{seen[job.name]}") if again else job)
    return result


def _file_name(*parts: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", "_".join(parts)).strip("_")


def _signals(run: Quantities) -> list[tuple[int, str, str]]:
    """Index, name and file-name suffix of each class whose score is shown."""
    names = run.class_names
    if len(names) == 2:
        return [(1, names[1], "")]
    return [(i, name, run.scores.classes[i]) for i, name in enumerate(names)]


def _loss(run: Quantities) -> Iterator[_Job]:
    path = run.folder / "history.csv"
    if path.exists():
        yield _Job("loss", "loss", lambda: loss(learning_curves(path)), True)


def _rocs(run: Quantities) -> Iterator[_Job]:
    for index, name, suffix in _signals(run):
        binary = len(run.scores.classes) == 2
        background = run.class_names[0] if binary else "background"
        draw = partial(_roc, run, index, name, background)
        title = _file_name("roc_mc", suffix)
        yield _Job("roc", title, partial(draw, "mc", "MC, test split"), True)
        if run.scores.has_truth:
            title = _file_name("roc_target", suffix)
            yield _Job("roc", title, partial(draw, "target", run.target_name), True)


def _roc(
    run: Quantities,
    index: int,
    signal: str,
    background: str,
    domain: Literal["mc", "target"],
    where: str,
) -> Axes | None:
    methods = run.scores.methods if domain == "target" else _candidates(run)
    found = {m: run_roc(run.scores, domain, m, signal=index) for m in methods}
    curves = {method: curve for method, curve in found.items() if curve is not None}
    if not curves:
        return None
    return roc(curves, signal=signal, background=background, title=where)


def _candidates(run: Quantities) -> tuple[str, ...]:
    """The methods without the oracle, which was trained on the target: MC means nothing to it."""
    return tuple(method for method in run.scores.methods if method != "oracle")


def _scores(run: Quantities) -> Iterator[_Job]:
    for method in _candidates(run):
        for index, name, suffix in _signals(run):
            draw = partial(_score, run, method, index, name)
            yield _Job("scores", _file_name("scores", method, suffix), draw, run.is_simulation)


def _score(run: Quantities, method: str, index: int, name: str) -> Axes:
    numbers = run.score(method, index, by="class", scale=True)
    axis, data_name = sentence(f"{name} score"), run.target_name
    return scores(numbers, axis, data_name=data_name, title=method_title(method))


def _data_mc(run: Quantities) -> Iterator[_Job]:
    for index, feature in enumerate(run.scores.features):
        for aligned in (None, *run.scores.aligned):
            after = () if aligned is None else ("after", aligned)
            draw = partial(_feature, run, index, feature, aligned)
            title = _file_name("data_mc", feature, *after)
            yield _Job("data_mc", title, draw, run.is_simulation)
    for method in _candidates(run):
        for index, name, suffix in _signals(run):
            draw = partial(_score_data_mc, run, method, index, name)
            title = _file_name("data_mc_score", method, suffix)
            yield _Job("data_mc", title, draw, run.is_simulation)


def _score_data_mc(run: Quantities, method: str, index: int, name: str) -> Axes:
    numbers = run.score(method, index, by="process")
    axis, data_name = sentence(f"{name} score"), run.target_name
    return data_mc(
        numbers, axis, data_name=data_name, colours=run.colours, title=method_title(method)
    )


def _feature(run: Quantities, index: int, feature: str, aligned: str | None) -> Axes:
    numbers, folded = run.feature(index, aligned)
    name, unit = run.title(feature)
    stage = "" if not run.scores.aligned else "before adaptation"
    return data_mc(
        numbers,
        name,
        unit=unit,
        data_name=run.target_name,
        colours=run.colours,
        title=stage if aligned is None else f"after {method_title(aligned)}",
        folded=folded,
    )
