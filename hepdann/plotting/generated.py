"""Figures of a generator: what it draws against events that it did not see."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..config import PlotConfig
from ..store.paths import GeneratorPaths
from .axes.frame import save
from .axes.label import label_as
from .axes.styles import style
from .figures.generated import gallery, with_ratio
from .figures.matrices import correlation

if TYPE_CHECKING:
    from ..generators import Judged, ShowerReport

Floats = NDArray[np.floating]

_SHAPES = {
    "response": "Response", "depth": "Mean depth [layers]", "width": "Width [strips]",
    "cells": "Cells with energy",
}  # fmt: skip
_BINS = 40


def plot_generated(
    judged: Judged, folder: str | Path, config: PlotConfig | None = None
) -> list[Path]:
    """Draw all figures of a generator into the folder of its run.

    Args:
        judged: from :func:`hepdann.generators.validate`.
        folder: of the run.
        config: how figures look.

    Returns:
        The files.
    """
    look, made = config or PlotConfig(), list[Path]()
    events, drawn, report, classes = judged.events, judged.drawn, judged.report, judged.classes
    target = GeneratorPaths(Path(folder)).plots

    def keep(draw: Callable[[], Axes], stem: str) -> None:
        ax = draw()
        label_as(ax, look)
        made.extend(save(ax, target / stem, look.formats))

    with style(look.style, look.size):
        if report is None:
            rows = [np.flatnonzero(events.label == label)[:10] for label in range(len(classes))]
            shown = [drawn[row, 0] for row in rows]
            title = "drawn by the generator, a class a row"
            keep(partial(gallery, shown, classes, energies=False, title=title), "gallery")
            return made
        first = np.argsort(events.columns[:, 0])[:: max(1, len(events) // 6)][:6]
        energies = _energies(events.columns[first, 0])
        title = f"depth to the right, logarithmic colours; {energies} GeV"
        pair = [events.images[first, 0], drawn[first, 0]]
        names = ["simulation", "generator"]
        keep(partial(gallery, pair, names, energies=True, title=title), "gallery")
        _curves(report, keep)
    return made


def _curves(report: ShowerReport, keep: Callable[[Callable[[], Axes], str], None]) -> None:
    """Response, resolution, profiles, correlations, and the distribution of each shape."""
    energy = "Energy of the particle [GeV]"
    for name, pair, band in (("response", report.response, 0.02),
                             ("resolution", report.resolution, 0.1)):  # fmt: skip
        label = {"response": "Mean response", "resolution": "Resolution"}[name]
        keep(partial(with_ratio, report.energy, pair, energy, label, band=band), name)
    for name, pair, label in (("along", report.along, "Layer"), ("across", report.across, "Strip")):
        edges, title = np.arange(len(pair[0]) + 1) - 0.5, f"KS {report.ks[name]:.4f}"
        value = "Mean share of the energy"
        keep(partial(with_ratio, edges, pair, label, value, title=title), f"profile_{name}")
    layers = [str(k) for k in range(len(report.along[0]))]
    for values, what in zip(report.correlation, ("simulation", "generator"), strict=True):
        title = f"energies of layers, {what}"
        keep(
            partial(correlation, values.astype(np.float64), layers, title=title),
            f"correlation_{what}",
        )
    for name, label in _SHAPES.items():
        first, second = report.shapes[name]
        low, high = np.quantile(np.concatenate([first, second]), [0.0005, 0.9995])
        edges = np.linspace(float(low), float(high), _BINS + 1)
        one, other = (np.histogram(np.clip(v, low, high), edges)[0] for v in (first, second))
        n = len(first)
        shares, errors = (one / n, other / n), (np.sqrt(one) / n, np.sqrt(other) / n)
        value, title = "Share of the showers", f"KS {report.ks[name]:.3f}"
        keep(partial(with_ratio, edges, shares, label, value, errors=errors, title=title),
             f"shape_{name}")  # fmt: skip


def _energies(values: Floats) -> str:
    return ", ".join(f"{value:.0f}" for value in values)
