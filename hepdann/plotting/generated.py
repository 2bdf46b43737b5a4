"""Figures of a generator: what it draws against events that it did not see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from ..config import PlotConfig
from ..errors import HepdannError
from ..store.model_file import GeneratorFolder, Pair, ShowerReport, open_folder
from ..store.paths import GeneratorPaths
from .axes.frame import finish, new_axes, picture
from .axes.label import Album
from .axes.styles import COLOURS, scaled
from .figures.matrices import correlation
from .figures.panels import arrows

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
) -> list[Path]:
    """Draw all figures of a generator, by default into ``plots`` in the folder of its training.

    Simulated showers are shown beside those that it draws as long as its tensor file is there.

    Raises:
        RunError: no generator, it is not trained and judged to the end, or damaged.
    """
    stored = open_folder(folder)
    target = GeneratorPaths(stored.folder).plots if output is None else Path(output)
    with Album.open(target, config) as album:
        album.keep(_gallery(stored), "gallery", simulation=True)
        if stored.validation.showers is not None:
            _curves(stored.validation.showers, album)
    return album.made


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

    def spread(columns: Floats) -> NDArray[np.intp]:
        """Rows of six energies, from the lowest on."""
        return np.argsort(columns[:, 0])[:: max(1, len(columns) // 6)][:6]

    rows: dict[str, Floats] = {}
    try:
        events = held_out(generator, stored.record.tensors)
    except HepdannError:
        columns, label = generator.conditions(len(generator.label), 0)
        shown = spread(columns)
    else:
        columns, label, shown = events.columns, events.label, spread(events.columns)
        rows["simulation"] = events.images[shown, 0]
    rows["generator"] = generator.draw(columns[shown], label[shown])[:, 0]
    energies = ", ".join(f"{value:.0f}" for value in columns[shown, 0])
    title = f"depth to the right, logarithmic colours; {energies} GeV"
    return gallery(list(rows.values()), list(rows), energies=True, title=title)


def _curves(report: ShowerReport, album: Album) -> None:
    """Response, resolution, profiles, correlations, and the distribution of each shape."""
    edges = np.array(report.energy)
    for name, label, pair, band in (
        ("response", "Mean response", report.response, 0.02),
        ("resolution", "Resolution", report.resolution, 0.1),
    ):
        energy = "Energy of the particle [GeV]"
        ax = with_ratio(edges, _arrays(pair), energy, label, band=band)
        album.keep(ax, name, simulation=True)
    for name, pair, label in (("along", report.along, "Layer"), ("across", report.across, "Strip")):
        edges, title = np.arange(len(pair.events) + 1) - 0.5, f"KS {report.ks[name]:.4f}"
        ax = with_ratio(edges, _arrays(pair), label, "Mean share of the energy", title=title)
        album.keep(ax, f"profile_{name}", simulation=True)
    layers, both = [str(k) for k in range(len(report.along.events))], report.correlation
    for what, values in (("simulation", both.events), ("generator", both.drawn)):
        ax = correlation(np.array(values), layers, title=f"energies of layers, {what}")
        album.keep(ax, f"correlation_{what}", simulation=True)
    for name, label in _SHAPES.items():
        if name not in report.shapes:
            continue
        counts = _arrays(report.shapes[name])
        sums = [max(1.0, side.sum()) for side in counts]
        shares, errors = (
            (sides[0] / sums[0], sides[1] / sums[1]) for sides in (counts, np.sqrt(counts))
        )
        edges, title = np.array(report.shapes[name].edges), f"KS {report.ks[name]:.3f}"
        value = "Share of the showers"
        ax = with_ratio(edges, shares, label, value, errors=errors, title=title)
        album.keep(ax, f"shape_{name}", simulation=True)


def _arrays(pair: Pair) -> tuple[Floats, Floats]:
    return np.array(pair.events), np.array(pair.drawn)


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
    limits = 1 - min(reach, 0.95), 1 + min(reach, 0.95)
    below.set_ylim(*limits)
    arrows(below, edges, ratio, known, limits)
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
