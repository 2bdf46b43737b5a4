"""Figures of a generator: what it draws against events that it did not see."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..config import PlotConfig
from ..errors import HepdannError
from ..store.generators import GeneratorFolder, Pair, ShowerReport, open_folder
from ..store.paths import GeneratorPaths
from .axes.frame import save
from .axes.label import label_as
from .axes.styles import style
from .figures.generated import gallery, with_ratio
from .figures.matrices import correlation

Floats = NDArray[np.floating]

_SHAPES = {
    "response": "Response", "depth": "Mean depth [layers]", "width": "Width [strips]",
    "cells": "Cells with energy",
}  # fmt: skip
_A_CLASS = 10  # pictures


def plot_generated(
    folder: str | Path,
    config: PlotConfig | None = None,
    output: str | Path | None = None,
    *,
    outlines: bool = False,
) -> list[Path]:
    """Draw all figures of a generator.

    Simulated showers are shown beside those that it draws as long as its tensor file is there.

    Args:
        folder: of its training.
        config: how figures look.
        output: folder of the figures; by default ``plots`` in that of the training.
        outlines: letters in SVG are shapes, alike on every machine; by default they are text.

    Returns:
        The files.

    Raises:
        RunError: no generator, it is not trained and judged to the end, or damaged.
    """
    look, made, stored = config or PlotConfig(), list[Path](), open_folder(folder)
    target = GeneratorPaths(stored.folder).plots if output is None else Path(output)

    def keep(draw: Callable[[], Axes], stem: str) -> None:
        ax = draw()
        label_as(ax, look, simulation=True)
        made.extend(save(ax, target / stem, look.formats))

    with style(look.style, look.size):
        rcParams["svg.fonttype"] = "path" if outlines else "none"
        keep(partial(_gallery, stored), "gallery")
        if stored.validation.showers is not None:
            _curves(stored.validation.showers, keep)
    return made


def _gallery(stored: GeneratorFolder) -> Axes:
    """What the generator draws: pictures, a class a row, or showers of six energies."""
    from ..generators import held_out, open_generator  # which need torch

    generator = open_generator(stored.folder)
    classes = generator.header.classes
    if generator.header.pictures:
        columns, label = generator.conditions(_A_CLASS * len(classes), 0)
        label = np.repeat(np.arange(len(classes), dtype=np.int32), _A_CLASS)
        drawn = generator.draw(columns, label)[:, 0]
        title = "drawn by the generator, a class a row"
        return gallery(np.split(drawn, len(classes)), classes, energies=False, title=title)
    rows: dict[str, Floats] = {}
    try:
        events = held_out(generator, stored.record.tensors)
    except HepdannError:
        columns, label = generator.conditions(len(generator.label), 0)
        shown = _spread(columns)
    else:
        columns, label, shown = events.columns, events.label, _spread(events.columns)
        rows["simulation"] = events.images[shown, 0]
    rows["generator"] = generator.draw(columns[shown], label[shown])[:, 0]
    said = ", ".join(f"{value:.0f}" for value in columns[shown, 0])
    title = f"depth to the right, logarithmic colours; {said} GeV"
    return gallery(list(rows.values()), list(rows), energies=True, title=title)


def _spread(columns: Floats) -> NDArray[np.intp]:
    """Rows of six energies, from the lowest on."""
    return np.argsort(columns[:, 0])[:: max(1, len(columns) // 6)][:6]


def _curves(report: ShowerReport, keep: Callable[[Callable[[], Axes], str], None]) -> None:
    """Response, resolution, profiles, correlations, and the distribution of each shape."""
    edges = np.array(report.energy)
    for name, label, pair, band in (
        ("response", "Mean response", report.response, 0.02),
        ("resolution", "Resolution", report.resolution, 0.1),
    ):
        energy = "Energy of the particle [GeV]"
        keep(partial(with_ratio, edges, _arrays(pair), energy, label, band=band), name)
    for name, pair, label in (("along", report.along, "Layer"), ("across", report.across, "Strip")):
        edges, title = np.arange(len(pair.events) + 1) - 0.5, f"KS {report.ks[name]:.4f}"
        value = "Mean share of the energy"
        keep(partial(with_ratio, edges, _arrays(pair), label, value, title=title),
             f"profile_{name}")  # fmt: skip
    layers = [str(k) for k in range(len(report.along.events))]
    for what, values in (("simulation", report.correlation.events),
                         ("generator", report.correlation.drawn)):  # fmt: skip
        title = f"energies of layers, {what}"
        keep(partial(correlation, np.array(values), layers, title=title), f"correlation_{what}")
    for name, label in _SHAPES.items():
        if name not in report.shapes:
            continue
        counts = _arrays(report.shapes[name])
        sums = [max(1.0, side.sum()) for side in counts]
        shares, errors = (
            tuple(values / total for values, total in zip(sides, sums, strict=True))
            for sides in (counts, np.sqrt(counts))
        )
        value, title = "Share of the showers", f"KS {report.ks[name]:.3f}"
        keep(partial(with_ratio, np.array(report.shapes[name].edges), shares, label, value,
                     errors=errors, title=title), f"shape_{name}")  # fmt: skip


def _arrays(pair: Pair) -> tuple[Floats, Floats]:
    return np.array(pair.events), np.array(pair.drawn)
