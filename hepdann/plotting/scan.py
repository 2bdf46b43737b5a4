"""Every figure of a scan, into its folder, with its numbers beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from ..config import Config, PlotConfig, load_config
from ..evaluation.scan.curves import Place, ScanCurves, Sweep, below
from ..store.paths import RunPaths
from .axes.styles import readable
from .figures.losses import loss
from .figures.roc import roc
from .figures.sweeps import sweep
from .jobs import Job, distinct, file_name
from .run import chosen, draw_all

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
) -> list[Path]:
    """Draw the figures of a scan; the numbers of each lie beside it as JSON.

    Args:
        folder: of the scan.
        config: how figures look; by default the ``plots`` section of the scan's own config.
        only: kinds (:data:`SCAN_KINDS`) or names of single figures; by default all.
        output: where to; by default the scan's ``plots``.
        progress: called with the number of figures drawn and that of all.

    Returns:
        The files, in the order of drawing.

    Raises:
        RunError: the folder holds no scan, or the figures cannot be written.
        ConfigError: an entry of ``only`` that this scan has no figure for.
    """
    folder = Path(folder)
    scan = ScanCurves.open(folder)
    path = RunPaths(folder).config
    own = load_config(path, expand=False, known_names=False) if path.exists() else Config()
    look = own.plots if config is None else config
    jobs = distinct([*_against_t(scan), *_at_targets(scan)])
    target = Path(output) if output is not None else RunPaths(folder).plots
    return draw_all(chosen(jobs, only, SCAN_KINDS, SCAN_KINDS), look, target, progress=progress)


def _against_t(scan: ScanCurves) -> Iterator[Job]:
    for shift in scan.shifts:
        for kind, (figure, label) in _FIGURES.items():
            numbers = partial(_some, partial(scan.against_t, shift, figure))
            draw = partial(_figure, scan, shift, kind, label)
            yield Job(kind, file_name(kind, shift), numbers, draw, True)
        for name in ("accuracy", "auc"):
            numbers = partial(_some, partial(scan.gap_closed, shift, name))
            draw = partial(
                sweep,
                figure=f"Gap to the oracle closed, {'AUC' if name == 'auc' else name}",
                along="t",
                level=("oracle", 1.0),
                title=f"{readable(shift)}, ensembles, {_CHOSEN}",
            )
            yield Job("gap", file_name("gap", name, shift), numbers, draw, True)


def _some(numbers: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    return numbers() or None


def _figure(scan: ScanCurves, shift: str, kind: str, label: str, found: dict[str, Sweep]) -> Axes:
    level = None
    if kind == "accuracy":
        height = scan.majority(next(place for place in scan.targets if place[0] == shift))
        level = None if height is None else ("majority class", height)
    under = below(found) if kind != "consistency" else {}
    title = f"{readable(shift)}, {_CHOSEN}"
    return sweep(found, label, "t", below=under, level=level, title=title)


def _at_targets(scan: ScanCurves) -> Iterator[Job]:
    for place in scan.targets:
        suffix = "data" if place[0] is None else f"{place[0]}-t{place[1]:g}"
        simulation = place[0] is not None
        for kind in ("accuracy", "auc"):
            figure, label = _FIGURES[kind]
            if scan.chosen_lambda(place):
                numbers = partial(_some, partial(scan.against_lambda, place, figure))
                draw = partial(sweep, figure=label, along="lambda", title=_name(place))
                title = file_name("lambda", kind, suffix)
                yield Job("lambda", title, numbers, draw, simulation)
        numbers = partial(_some, partial(scan.losses, place))
        titled = partial(loss, title=f"{_name(place)}, {_CHOSEN}")
        yield Job("loss", file_name("loss", suffix), numbers, titled, simulation)
        signal, background = (readable(scan.class_titles[i]) for i in (1, 0))
        curves = partial(roc, signal=signal, background=background, title=_name(place))
        rocs = partial(_some, partial(scan.rocs, place))
        yield Job("roc", file_name("roc", suffix), rocs, curves, True)


def _name(place: Place) -> str:
    shift, t = place
    return "Data" if shift is None else f"{readable(shift)} t = {t:g}"
