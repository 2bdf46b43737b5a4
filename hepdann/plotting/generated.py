"""Figures of a generator: what it draws against events that it did not see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from ..config import PlotConfig
from ..store.paths import GeneratorPaths
from .axes.frame import finish, new_axes, picture
from .axes.label import Album
from .axes.styles import COLOURS, scaled
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
    """Draw all figures of what :func:`hepdann.generators.validate` found into the run's folder."""
    events, drawn, report, classes = judged.events, judged.drawn, judged.report, judged.classes
    with Album.open(GeneratorPaths(Path(folder)).plots, config) as album:
        if report is None:
            rows = [np.flatnonzero(events.label == label)[:10] for label in range(len(classes))]
            shown = [drawn[row, 0] for row in rows]
            title = "drawn by the generator, a class a row"
            album.keep(gallery(shown, classes, energies=False, title=title), "gallery")
            return album.made
        first = np.argsort(events.columns[:, 0])[:: max(1, len(events) // 6)][:6]
        energies = ", ".join(f"{value:.0f}" for value in events.columns[first, 0])
        title = f"depth to the right, logarithmic colours; {energies} GeV"
        pair = [events.images[first, 0], drawn[first, 0]]
        names = ["simulation", "generator"]
        album.keep(gallery(pair, names, energies=True, title=title), "gallery")
        _curves(report, album)
    return album.made


def _curves(report: ShowerReport, album: Album) -> None:
    """Response, resolution, profiles, correlations, and the distribution of each shape."""
    energy = "Energy of the particle [GeV]"
    for name, pair, label, band in (
        ("response", report.response, "Mean response", 0.02),
        ("resolution", report.resolution, "Resolution", 0.1),
    ):
        album.keep(with_ratio(report.energy, pair, energy, label, band=band), name)
    for name, pair, label in (("along", report.along, "Layer"), ("across", report.across, "Strip")):
        edges, title = np.arange(len(pair[0]) + 1) - 0.5, f"KS {report.ks[name]:.4f}"
        value = "Mean share of the energy"
        album.keep(with_ratio(edges, pair, label, value, title=title), f"profile_{name}")
    layers = [str(k) for k in range(len(report.along[0]))]
    for values, what in zip(report.correlation, ("simulation", "generator"), strict=True):
        title = f"energies of layers, {what}"
        album.keep(
            correlation(values.astype(np.float64), layers, title=title), f"correlation_{what}"
        )
    for name, label in _SHAPES.items():
        first, second = report.shapes[name]
        low, high = np.quantile(np.concatenate([first, second]), [0.0005, 0.9995])
        edges = np.linspace(float(low), float(high), _BINS + 1)
        one, other = (np.histogram(np.clip(v, low, high), edges)[0] for v in (first, second))
        n = len(first)
        shares, errors = (one / n, other / n), (np.sqrt(one) / n, np.sqrt(other) / n)
        value, title = "Share of the showers", f"KS {report.ks[name]:.3f}"
        ax = with_ratio(edges, shares, label, value, errors=errors, title=title)
        album.keep(ax, f"shape_{name}")


def with_ratio(
    edges: Floats, pair: tuple[Floats, Floats], label: str, value: str, *, band: float = 0.0,
    errors: tuple[Floats, Floats] | None = None, title: str = "",
) -> Axes:  # fmt: skip
    """Two curves in bins, of the events and of what was drawn, and their ratio below.

    ``label`` is that of the horizontal axis, ``value`` of the vertical one; ``band`` is half the
    height of a grey band about 1 in the ratio: what is asked for.
    """
    ax, below = new_axes((3.0, 1.2))
    centres = (edges[1:] + edges[:-1]) / 2
    ax.stairs(pair[0], edges, fill=True, color=COLOURS[0], alpha=0.35, label="simulation")
    spread = errors or (np.zeros_like(centres), np.zeros_like(centres))
    points: dict[str, Any] = {
        "fmt": "o",
        "color": "black",
        "markersize": scaled(5.0),
        "linewidth": scaled(1.2),
    }
    ax.errorbar(centres, pair[1], spread[1], label="generator", **points)
    known = pair[0] > 0
    ratio = np.divide(pair[1], pair[0], out=np.full(len(centres), np.nan), where=known)
    relative = np.hypot(*(np.divide(e, p, out=np.zeros(len(centres)), where=p > 0)
                          for e, p in zip(spread, pair, strict=True)))  # fmt: skip
    if band:
        below.axhspan(1 - band, 1 + band, color="0.85")
    below.axhline(1.0, color="black", linestyle=":", linewidth=scaled(1.2))
    below.errorbar(centres, ratio, np.abs(ratio) * relative, **points)
    reach = max(1.5 * band, 1.2 * float(np.nanquantile(np.abs(ratio - 1), 0.9)), 0.02)
    below.set_ylim(1 - min(reach, 0.95), 1 + min(reach, 0.95))
    below.set_ylabel("Ratio", loc="center")
    below.set_xlabel(label)
    ax.set_ylabel(value)
    low, high = float(np.nanmin(pair)), float(np.nanmax(pair))
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0.0 if low < 0.7 * high else low - 0.5 * (high - low), high + 0.35 * (high - low))
    finish(ax, title)
    return ax


def gallery(
    images: Sequence[Floats], names: Sequence[str], *, energies: bool, title: str = ""
) -> Axes:
    """Images (n, H, W) in rows that have a name, each in axes of its own; ``title`` is below.

    ``energies`` of cells are on one logarithmic scale of colours for all; others grey in [0, 1].
    """
    (ax,) = new_axes(height=7.0 if len(images) > 4 else 4.5)
    columns, rows = max(map(len, images)), len(images)
    ax.set(xticks=[], frame_on=False, xlim=(0, 1), ylim=(rows, 0))
    ax.set_yticks(np.arange(rows) + 0.5, names, rotation=90 if max(map(len, names)) > 3 else 0,
                  va="center", fontsize=scaled(14.0))  # fmt: skip
    ax.tick_params(length=0, which="both")
    ax.minorticks_off()
    largest = max(float(row.max()) for row in images)
    look: dict[str, Any] = {"vmin": 0.0, "vmax": 1.0, "cmap": "gray"}
    if energies:
        look = {"norm": LogNorm(largest * 1e-3, largest), "cmap": "viridis_r"}
    for row, shown in enumerate(images):
        for column, image in enumerate(shown):
            box = ((column + 0.02) / columns, 1 - (row + 0.98) / rows, 0.96 / columns, 0.96 / rows)
            picture(ax, box, image, aspect="auto", **look)
    ax.set_xlabel(title, fontsize=scaled(15.0))
    finish(ax)
    return ax
