"""Every figure of a run, into its folder, with the numbers beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rcParams

from ..config import PlotConfig
from ..errors import ConfigError, RunError
from ..outputs import drawing_folder, mend_of, name_fault, write_whole
from ..registry import FIGURES, nearest
from ..store.paths import RunPaths
from .axes.frame import finished_later, save
from .axes.label import label_as
from .axes.styles import style
from .configured import configured_jobs
from .jobs import Job, OwnFigure, distinct, jobs_of
from .quantities import Quantities
from .workers import shared, usable

DEFAULT_KINDS = (
    "loss", "roc", "scores", "data_mc", "calibration", "correlation", "segments", "nuisance",
)  # fmt: skip
_NUMBERS = ".json"


def plot_run(
    folder: str | Path,
    config: PlotConfig | None = None,
    only: Sequence[str] | None = None,
    *,
    output: str | Path | None = None,
    scale_mc: bool = False,
    progress: Callable[[int, int], None] | None = None,
    outlines: bool = False,
    numbers: bool = True,
    workers: int | None = 1,
) -> list[Path]:
    """Draw the figures of a run.

    Nothing is written until all are drawn; then each file replaces its predecessor whole.

    Args:
        folder: of the run; ``scores.h5``, ``history.csv`` and ``config.yaml`` are read.
        config: how figures look; by default the ``plots`` section of the run's own config.
        only: kinds (of :data:`hepdann.registry.FIGURES`) or names of single figures
            (``data_mc_pt``), those of ``config.figures`` among them; by default what
            ``config.figures`` lists, or :data:`DEFAULT_KINDS` if it lists nothing.
        output: where to; by default the run's ``plots``.
        scale_mc: normalise MC to the target's yield, and say so; by default it is absolute.
        progress: called with the number of figures drawn and that of all.
        outlines: letters in SVG are shapes, alike on every machine; by default they are text.
        numbers: write what each figure shows beside it, as JSON.
        workers: processes that draw; ``None`` for several if there are many figures. With more
            than one, a script must guard its own code by ``if __name__ == "__main__"``.

    Returns:
        The figures' files, in the order of drawing.

    Raises:
        RunError: the folder holds no run, or not a whole one, or the figures cannot be written.
        ConfigError: an entry of ``only`` that this run has no figure for.
    """
    run = Quantities.open(Path(folder), scale_mc=scale_mc)
    config = run.config.plots if config is None else config
    jobs = wanted_jobs(run, config, only)
    target = Path(output) if output is not None else RunPaths(run.folder).plots
    processes = usable(len(jobs), workers)
    if processes == 1:
        return draw_all(jobs, config, target, progress=progress, outlines=outlines, numbers=numbers)
    with _drawing_into(target) as drawing:
        registered = FIGURES.registered(job.kind for job in jobs)
        settings = (run.folder, scale_mc, config, only, drawing, outlines, numbers, registered)
        names = [job.name for job in jobs]
        made = shared(_opened, settings, names, processes, progress, run.folder)
        return _moved([path for files in made for path in files], target)


def _opened(
    folder: Path,
    scale_mc: bool,
    config: PlotConfig,
    only: Sequence[str] | None,
    drawing: Path,
    outlines: bool,
    numbers: bool,
    registered: Mapping[str, OwnFigure],
) -> Callable[[str], list[Path]]:
    """In a process of its own: what draws a figure of a run, by its name."""
    FIGURES.restore(registered)
    run = Quantities.open(folder, scale_mc=scale_mc)
    jobs = {job.name: job for job in wanted_jobs(run, config, only)}

    def draw(name: str) -> list[Path]:
        with _styled(config, outlines):
            return _draw(jobs[name], config, drawing, numbers=numbers)

    return draw


def wanted_jobs(run: Quantities, config: PlotConfig, only: Sequence[str] | None) -> list[Job]:
    """The figures to draw: those named, those configured, or those that are always drawn.

    Raises:
        ConfigError: one that this run does not have.
    """
    listed = config.figures or []
    configured, standard = _configured_and_standard(run, config)
    if only is None and config.figures is not None:
        named = [name for name in listed if isinstance(name, str)]
        named = [n for name in named for n in (DEFAULT_KINDS if name == "default" else [name])]
        return [*configured, *chosen(standard, named, tuple(FIGURES), (), where="plots.figures")]
    return chosen([*configured, *standard], only, tuple(FIGURES), DEFAULT_KINDS)


def _configured_and_standard(run: Quantities, config: PlotConfig) -> tuple[list[Job], list[Job]]:
    """What the configuration lists, which stands in for its namesakes, and what every run has."""
    listed = [figure for figure in config.figures or [] if not isinstance(figure, str)]
    configured = distinct(configured_jobs(run, listed))
    names = {job.name for job in configured}
    return configured, [job for job in distinct(list(jobs_of(run))) if job.name not in names]


def draw_all(
    jobs: Sequence[Job],
    config: PlotConfig,
    target: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    outlines: bool = False,
    numbers: bool = True,
) -> list[Path]:
    """Draw figures; when all are drawn, each file replaces its predecessor whole.

    The arguments are those of :func:`plot_run`, ``target`` being the folder; so is what it returns.

    Raises:
        RunError: they cannot be written.
    """
    with _drawing_into(target) as drawing, _styled(config, outlines):
        drawn: list[Path] = []
        for done, job in enumerate(jobs, start=1):
            drawn += _draw(job, config, drawing, numbers=numbers)
            if progress is not None:
                progress(done, len(jobs))
        return _moved(drawn, target)


@contextmanager
def _drawing_into(target: Path) -> Iterator[Path]:
    """A folder beside the figures' places that goes away with all that is still in it."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        with drawing_folder(target) as drawing:
            yield drawing
    except OSError as error:
        reason = f"the figures cannot be written: {error.strerror or error}"
        raise RunError(reason, where=target, mend=mend_of(error)) from error


@contextmanager
def _styled(config: PlotConfig, outlines: bool) -> Iterator[None]:
    with style(config.style, config.size):
        rcParams["svg.fonttype"] = "path" if outlines else "none"
        yield


def _moved(drawn: Sequence[Path], target: Path) -> list[Path]:
    """Each file to its place; the figures among them."""
    moved = [path.replace(target / path.name) for path in drawn]
    return [path for path in moved if path.suffix != _NUMBERS]


def figure_names(folder: str | Path, *, listed: bool = False) -> dict[str, str]:
    """Name and kind of every figure that :func:`plot_run` can draw of a run.

    Args:
        folder: of the run.
        listed: only those that ``plots.figures`` of the run's configuration describes.

    Raises:
        RunError: the folder holds no run, or not a whole one.
        ConfigError: the configuration lists one that the run cannot have.
    """
    run = Quantities.open(Path(folder))
    configured, standard = _configured_and_standard(run, run.config.plots)
    return {job.name: job.kind for job in (configured if listed else [*configured, *standard])}


def _draw(job: Job, config: PlotConfig, folder: Path, *, numbers: bool) -> list[Path]:
    fault = name_fault(job.name)
    if fault is not None:  # whatever it came from, it must not leave the folder
        raise ConfigError(f"the name {job.name!r} of a figure {fault}", where="plots.figures")
    values = job.numbers()
    if values is None:
        return []
    with finished_later():
        ax = job.draw(values)
    label_as(ax, config, simulation=job.simulation)
    made = save(ax, folder / job.name, config.formats)
    if numbers:
        made.append(folder / f"{job.name}{_NUMBERS}")
        write_whole(made[-1], json.dumps(_plain(values), allow_nan=False).encode())
    return made


def _plain(value: Any) -> Any:
    """Numbers and names as JSON has them; what is not finite becomes ``None``."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def chosen(
    jobs: list[Job],
    only: Sequence[str] | None,
    kinds: Sequence[str],
    default: Sequence[str],
    *,
    where: str = "--only",
) -> list[Job]:
    """The figures that ``--only`` names, by kind or by name; by default those of the default kinds.

    Raises:
        ConfigError: an entry that there is no figure for; it names ``where``.
    """
    wanted = default if only is None else only
    known = [*kinds, *(job.name for job in jobs)]
    for entry in wanted:
        if entry not in known:
            near = nearest(entry, known)
            raise ConfigError(
                f"no figure {entry!r} in this run",
                where=where,
                mend=f"did you mean {near}?" if near else f"choose of {', '.join(kinds)}",
            )
    return [job for job in jobs if (job.kind in wanted and not job.asked) or job.name in wanted]
