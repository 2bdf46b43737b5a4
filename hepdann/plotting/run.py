"""Every figure of a run, into its folder, with the numbers beside it.

Each picture holds a mark of what it was drawn of: the files of the run, the tensors that they name,
the look, and the code that draws. A picture whose mark is another, or that has none, is never taken
in place of a new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from PIL import Image

import hepdann

from ..config import PlotConfig
from ..display import listed
from ..errors import ConfigError, RunError
from ..evaluation import open_scores
from ..evaluation.curves import run_roc
from ..inputs import file_stamp, read_json
from ..outputs import drawing_folder, jsonable, name_fault, write_whole, writing
from ..parallel import DRAWING, Executor, Link, Task, processes_for
from ..registry import FIGURES, nearest_name
from ..stats import Roc
from ..store.content import Files
from ..store.paths import RunPaths
from ..store.scores_file import MOVED
from ..store.scores_reader import Domain, RunScores
from .axes.frame import drawing_on, finished_later, save
from .axes.label import Album, label_as
from .axes.styles import method_title, style
from .configured import configured_jobs
from .figures.roc import roc
from .jobs import FigureJob, OwnFigure, distinct, file_name, jobs_of
from .quantities import Quantities

DEFAULT_KINDS = (
    "loss", "roc", "scores", "data_mc", "calibration", "correlation", "segments", "nuisance",
)  # fmt: skip
_NUMBERS = ".json"
_MANY = 16  # figures from which the start of a process, two seconds, is worth it
_LOST = "draw with one worker, or fewer figures at a time with --only"
_UNWRITTEN = "the figures cannot be written"
KEY = "hepdann"  # of the mark, among the texts of a PNG
_OTHERS = ("log.txt", "working_points.json")  # files that no figure shows
_SUFFIXES = (".h5", ".json", ".yaml", ".csv", ".npy", ".safetensors")  # of what a run consists of
_LARGEST = 20_000_000  # bytes of a picture


def plot_run(
    folder: str | Path,
    config: PlotConfig | None = None,
    only: Sequence[str] | None = None,
    *,
    output: str | Path | None = None,
    scale_mc: bool = False,
    progress: Callable[[int, int], None] | None = None,
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
    return _draw_run(run, jobs, config, target, progress, workers)


def draw_figure(
    folder: str | Path, name: str, ax: Axes, *, config: PlotConfig | None = None,
    scale_mc: bool = False,
) -> Axes:  # fmt: skip
    """Draw one figure of a run on axes of one's own; nothing is written.

    Args:
        folder: of the run.
        name: of a figure, as :func:`figure_names` has it, or a kind: of several that of the target.
        ax: where to draw; ratio panels take the lower end of it.
        config: how figures look, less style and size, which are those of ``ax``; by default the
            ``plots`` section of the run's own config.
        scale_mc: as in :func:`plot_run`.

    Returns:
        ``ax``.

    Raises:
        RunError: the folder holds no run, or not a whole one.
        ConfigError: no such figure, several of that kind, nothing to show, or several axes.
    """
    run = Quantities.open(Path(folder), scale_mc=scale_mc)
    look = run.config.plots if config is None else config
    jobs = wanted_jobs(run, look, [name])
    if len(jobs) > 1:
        jobs = [job for job in jobs if job.name == f"{name}_target"] or jobs
    if len(jobs) > 1:
        mend = f"name one: {listed([job.name for job in jobs])}"
        raise ConfigError(f"there are several figures {name!r}", where="figure", mend=mend)
    values = jobs[0].numbers() if jobs else None
    if values is None:
        raise ConfigError(f"this run has nothing to show in {name!r}", where="figure")
    with drawing_on(ax):
        jobs[0].draw(values)
    label_as(ax, look, simulation=jobs[0].simulation)
    return ax


def pictures(
    run: Quantities,
    config: PlotConfig,
    jobs: Sequence[FigureJob],
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = 1,
) -> dict[str, bytes]:
    """Figures as PNG by name, of jobs of :func:`wanted_jobs`; only what is new is drawn.

    A picture in the folder of the run is taken if it shows the same in the same look; where there
    is none of its name, a new one is left there. The arguments are those of :func:`plot_run`.
    """
    folder, mark = RunPaths(run.folder).plots, mark_of(run, config)
    known = {j.name: stored_picture(folder, j.name, mark) for j in jobs if j.kind in FIGURES.own}
    missing = [job for job in jobs if known.get(job.name) is None]
    with TemporaryDirectory() as place:
        look = config.model_copy(update={"formats": ["png"]})
        files = _draw_run(run, missing, look, Path(place), progress, workers) if missing else []
        for path in files:
            known[path.stem] = png = path.read_bytes()
            if not (folder / path.name).exists():
                with suppress(OSError, RunError):  # somebody else's folder
                    folder.mkdir(exist_ok=True)
                    write_whole(folder / path.name, png, lasting=False)
    return {j.name: image for j in jobs if (image := known.get(j.name)) is not None}


def mark_of(run: Quantities, look: PlotConfig) -> str:
    """What all figures of a run follow from, as a hash; the formats of their files are no part."""
    paths = RunPaths(run.folder)
    digest = hashlib.blake2b(_code(), digest_size=16)
    digest.update(f"{look.model_dump_json(exclude={'formats'})} {run.scale_mc}".encode())
    for path in sorted(run.folder.iterdir()):
        if path.is_file() and path.name not in _OTHERS and path.suffix in _SUFFIXES:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "blake2b").hexdigest()
            digest.update(f"{path.name} {content}\n".encode())
    record: Mapping[str, Any] = {}
    with suppress(RunError):  # without it no tensors are read
        record = read_json(paths.start_record, Files)
    with run.scores.opened() as file:
        moved = [str(file[domain].attrs.get(MOVED, "")) for domain in ("mc", "target")]
    for name in filter(None, (record.get("tensors"), record.get("data"), *moved)):
        digest.update(f"{name} {file_stamp(name)}\n".encode())
    return digest.hexdigest()


def mark_of_figure(mark: str, name: str) -> str:
    """The mark of one of them."""
    return hashlib.blake2b(f"{mark} {name}".encode(), digest_size=16).hexdigest()


def stored_picture(folder: Path, name: str, mark: str) -> bytes | None:
    """The PNG of a figure, if it is in a folder and has the mark of what would be drawn now."""
    path = folder / f"{name}.png"
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.info.get(KEY) != mark_of_figure(mark, name) or path.stat().st_size > _LARGEST:
                return None
            image.verify()
        return path.read_bytes()
    except (OSError, SyntaxError, ValueError):  # what Pillow raises of a file that is no PNG
        return None


@cache
def _code() -> bytes:
    """The state of the programs that draw."""
    package = Path(hepdann.__file__).parent
    states = [(path.name, file_stamp(path)) for path in sorted(package.rglob("*.py"))]
    return repr([matplotlib.__version__, np.__version__, states]).encode()


def _draw_run(
    run: Quantities,
    jobs: Sequence[FigureJob],
    config: PlotConfig,
    target: Path,
    progress: Callable[[int, int], None] | None,
    workers: int | None,
) -> list[Path]:
    return draw_all(
        jobs, config, target, progress=progress, mark=mark_of(run, config),
        workers=drawing_processes(workers, len(jobs)),
        again=partial(_opened, run.folder, run.scale_mc, config, [job.name for job in jobs]),
    )  # fmt: skip


def drawing_processes(workers: int | None, figures: int) -> int:
    """In how many processes figures are drawn; of ``None`` as many as pay, and 4 at most."""
    asked: int | Literal["auto"] = "auto" if workers is None else workers
    processes = processes_for(asked, figures, pays=figures >= _MANY)
    return min(processes, 4) if workers is None else processes


def _opened(
    folder: Path, scale_mc: bool, config: PlotConfig, only: Sequence[str]
) -> list[FigureJob]:
    return wanted_jobs(Quantities.open(folder, scale_mc=scale_mc), config, only)


def wanted_jobs(run: Quantities, config: PlotConfig, only: Sequence[str] | None) -> list[FigureJob]:
    """The figures to draw: those named, those configured, or those that are always drawn.

    Raises:
        ConfigError: one that this run does not have.
    """
    listed = config.figures or []
    configured, standard = configured_and_standard(run, config)
    if only is None and config.figures is not None:
        named = [name for name in listed if isinstance(name, str)]
        where = "plots.figures"
        return [*configured, *chosen(standard, named, tuple(FIGURES), DEFAULT_KINDS, where=where)]
    return chosen([*configured, *standard], only, tuple(FIGURES), DEFAULT_KINDS)


def configured_and_standard(
    run: Quantities, config: PlotConfig
) -> tuple[list[FigureJob], list[FigureJob]]:
    """What the configuration lists, which stands in for its namesakes, and what every run has."""
    listed = [figure for figure in config.figures or [] if not isinstance(figure, str)]
    configured = distinct(configured_jobs(run, listed))
    names = {job.name for job in configured}
    return configured, [job for job in distinct(list(jobs_of(run))) if job.name not in names]


def figure_names(folder: str | Path) -> dict[str, str]:
    """Name and kind of every figure that :func:`plot_run` can draw of a run.

    Raises:
        RunError: the folder holds no run, or not a whole one.
        ConfigError: the configuration lists one that the run cannot have.
    """
    run = Quantities.open(Path(folder))
    configured, standard = configured_and_standard(run, run.config.plots)
    return {job.name: job.kind for job in (*configured, *standard)}


def draw_all(
    jobs: Sequence[FigureJob],
    config: PlotConfig,
    target: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    mark: str | None = None,
    workers: int = 1,
    again: Callable[[], list[FigureJob]] = list,
) -> list[Path]:
    """Draw figures; when all are drawn, each file replaces its predecessor whole.

    The arguments are those of :func:`plot_run`, ``target`` being the folder, ``mark`` what the
    figures follow from, and ``again`` what gives the jobs in another process.

    Raises:
        RunError: they cannot be written, or a process died.
    """
    done = count(1)

    def tell(*_: object) -> Mapping[Any, Any]:
        if progress is not None:
            progress(next(done), len(jobs))
        return {}

    registered = FIGURES.registered(job.kind for job in jobs)
    with writing(target, _UNWRITTEN):
        target.mkdir(parents=True, exist_ok=True)
        with drawing_folder(target) as drawing:
            page = _Page(drawing, config, mark, again, registered)
            _OPENED[drawing] = {job.name: job for job in jobs}
            tasks: dict[Hashable, Task] = {j.name: partial(page.draw, j.name) for j in jobs}
            with Executor(
                workers if workers > 1 else 0, resume_hint=_LOST, modules=DRAWING
            ) as executor:
                made = executor.run(tasks, tell)
            del _OPENED[drawing]
            drawn = [path for job in jobs for path in made[job.name]]
            moved = [path.replace(target / path.name) for path in drawn]
    return [path for path in moved if path.suffix != _NUMBERS]


_OPENED: dict[
    Path, dict[str, FigureJob]
] = {}  # jobs by name, in this process, of a folder to draw in


@dataclass(frozen=True)
class _Page:
    """How figures are drawn, in any process: where to, their looks, and what gives the jobs."""

    folder: Path
    config: PlotConfig
    mark: str | None
    again: Callable[[], list[FigureJob]]
    registered: Mapping[str, OwnFigure]

    def draw(self, name: str, _: Link) -> list[Path]:
        """Draw a figure; its files."""
        if self.folder not in _OPENED:
            FIGURES.restore(self.registered)
            _OPENED[self.folder] = {job.name: job for job in self.again()}
        job = _OPENED[self.folder][name]
        fault = name_fault(name)
        if fault is not None:  # whatever it came from, it must not leave the folder
            raise ConfigError(f"the name {name!r} of a figure {fault}", where="plots.figures")
        look = self.config
        with writing(self.folder.parent, _UNWRITTEN), style(look.style, look.size):
            values = job.numbers()
            if values is None:
                return []
            with finished_later():
                ax = job.draw(values)
            label_as(ax, look, simulation=job.simulation)
            texts = {KEY: mark_of_figure(self.mark, name)} if self.mark else {}
            made = save(ax, self.folder / name, look.formats, texts)
            made.append(self.folder / f"{name}{_NUMBERS}")
            text = json.dumps(jsonable(values), allow_nan=False)
            write_whole(made[-1], text.encode(), lasting=False)
        return made


def chosen(
    jobs: list[FigureJob],
    only: Sequence[str] | None,
    kinds: Sequence[str],
    default: Sequence[str],
    *,
    where: str = "--only",
) -> list[FigureJob]:
    """The figures that ``--only`` names, by kind or by name; "default" are most of default kinds.

    Raises:
        ConfigError: an entry that there is no figure for; it names ``where``.
    """
    wanted = ["default"] if only is None else only
    known = ["default", *kinds, *(job.name for job in jobs)]
    for entry in wanted:
        if entry not in known:
            near = nearest_name(entry, known)
            mend = f"did you mean {near}?" if near else f"choose of {', '.join(kinds)}"
            raise ConfigError(f"no figure {entry!r} in this run", where=where, mend=mend)
    usual = default if "default" in wanted else ()

    def is_wanted(job: FigureJob) -> bool:
        of_kind = job.kind in wanted or (job.kind in usual and not job.rest)
        return job.name in wanted or (of_kind and not job.asked)

    return [job for job in jobs if is_wanted(job)]


def plot_comparison(
    runs: Mapping[str, Path], output: str | Path, look: PlotConfig | None = None
) -> list[Path]:
    """Draw the ROC curves of each method in all runs that have it, on MC and on the target.

    The first run is the reference of the ratio panel; the runs' names stand in the legend.

    Raises:
        RunError: a run is not whole, or no method is in two of them.
    """
    opened = {name: open_scores(folder) for name, folder in runs.items()}
    with Album.open(output, look) as album:
        for method in dict.fromkeys(m for s in opened.values() for m in s.methods):
            for domain in ("mc", "target"):
                curves = _curves(opened, method, domain)
                if len(curves) > 1:
                    where = "MC" if domain == "mc" else "target"
                    events = " and ".join(sorted({opened[name].judged for name in curves}))
                    title = f"{method_title(method)}, {where}, {events}"
                    ax = roc(curves, reference=next(iter(curves)), title=title)
                    album.keep(ax, file_name("roc", domain, method), simulation=domain == "mc")
    if not album.made:
        raise RunError("no method is in two of the runs", mend="compare runs that share one")
    return album.made


def _curves(runs: Mapping[str, RunScores], method: str, domain: Domain) -> dict[str, Roc]:
    curves = {
        name: run_roc(scores, domain, method)
        for name, scores in runs.items()
        if method in scores.methods
        and len(scores.classes) == 2
        # on MC, the networks of an alignment are those of source-only
        and (domain == "target" or method not in (*scores.aligned, "oracle"))
    }
    return {name: curve for name, curve in curves.items() if curve is not None}
