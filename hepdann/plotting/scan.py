"""Every figure of a scan, into its folder, with its numbers beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from ..config import PlotConfig
from ..evaluation.curves import ScanCurves, Sweep, gap_to
from ..store.paths import RunPaths
from ..store.reading import config_of
from .axes.styles import readable
from .figures.roc import roc
from .figures.sweeps import loss, sweep
from .jobs import FigureJob, distinct, file_name
from .run import chosen, draw_all, drawing_processes

SCAN_KINDS = ("accuracy", "auc", "consistency", "gap", "lambda", "loss", "roc")

_FIGURES = {  # kind: figure of a network, label
    "accuracy": ("target_accuracy", "Target accuracy"),
    "auc": ("target_auc", "Target AUC"),
    "consistency": ("consistency", "Consistency"),
}
_CHOSEN = r"$\lambda$ chosen without labels"


def plot_scan(
    folder: str | Path,
    config: PlotConfig | None = None,
    only: Sequence[str] | None = None,
    *,
    output: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = 1,
) -> list[Path]:
    """Draw the figures of a scan; the numbers of each lie beside it as JSON.

    As :func:`hepdann.plotting.plot_run` does; ``only`` names kinds of :data:`SCAN_KINDS`.

    Raises:
        RunError: the folder holds no scan, or the figures cannot be written.
        ConfigError: an entry of ``only`` that this scan has no figure for.
    """
    scan = ScanCurves.open(Path(folder))
    look = config_of(scan.folder).plots if config is None else config
    jobs = chosen(_jobs(scan), only, SCAN_KINDS, SCAN_KINDS)
    target = Path(output) if output is not None else RunPaths(scan.folder).plots
    return draw_all(
        jobs, look, target, progress=progress, workers=drawing_processes(workers, len(jobs)),
        again=partial(_opened, scan.folder),
    )  # fmt: skip


def _opened(folder: Path) -> list[FigureJob]:
    return _jobs(ScanCurves.open(folder))


def _jobs(scan: ScanCurves) -> list[FigureJob]:
    return distinct([*_against_t(scan), *_at_targets(scan)])


def _against_t(scan: ScanCurves) -> Iterator[FigureJob]:
    def draw(shift: str, kind: str, curves: dict[str, Sweep]) -> Axes:
        level = None
        if kind == "accuracy":
            height = scan.majority(next(place for place in scan.targets if place[0] == shift))
            level = None if height is None else ("majority class", height)
        under = gap_to(curves) if kind != "consistency" else {}
        title = f"{readable(shift)}, {_CHOSEN}"
        return sweep(curves, _FIGURES[kind][1], "t", below=under, level=level, title=title)

    for shift in scan.shifts:
        for kind, (figure, _) in _FIGURES.items():
            numbers = partial(scan.against_t, shift, figure)
            yield _job(kind, (kind, shift), numbers, partial(draw, shift, kind))
        for name, label in (("accuracy", "accuracy"), ("auc", "AUC")):
            drawn = partial(
                sweep,
                figure=f"Gap to the oracle closed, {label}",
                along="t",
                level=("oracle", 1.0),
                title=f"{readable(shift)}, ensembles, {_CHOSEN}",
            )
            yield _job("gap", ("gap", name, shift), partial(scan.gap_closed, shift, name), drawn)


def _job(
    kind: str,
    name: Sequence[str],
    numbers: Callable[[], dict[str, Any]],
    draw: Callable[..., Axes],
    simulation: bool = True,
) -> FigureJob:
    return FigureJob(kind, file_name(*name), lambda: numbers() or None, draw, simulation)


def _at_targets(scan: ScanCurves) -> Iterator[FigureJob]:
    for place in scan.targets:
        shift, t = place
        suffix = "data" if shift is None else f"{shift}-t{t:g}"
        name = "Data" if shift is None else f"{readable(shift)} t = {t:g}"
        for kind in ("accuracy", "auc") if scan.chosen_lambda(place) else ():
            figure, label = _FIGURES[kind]
            numbers = partial(scan.against_lambda, place, figure)
            draw = partial(sweep, figure=label, along="lambda", title=name)
            yield _job("lambda", ("lambda", kind, suffix), numbers, draw, shift is not None)
        titled = partial(loss, title=f"{name}, {_CHOSEN}")
        losses = partial(scan.losses, place)
        yield _job("loss", ("loss", suffix), losses, titled, shift is not None)
        signal, background = (readable(scan.class_titles[i]) for i in (1, 0))
        curves = partial(roc, signal=signal, background=background, title=name)
        yield _job("roc", ("roc", suffix), partial(scan.rocs, place), curves)
