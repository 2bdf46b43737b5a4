"""What a generator draws beside simulated events: curves with ratios, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from ..axes.frame import finish, new_axes
from ..axes.styles import COLOURS, scaled

Floats = NDArray[np.floating]


def with_ratio(
    edges: Floats, pair: tuple[Floats, Floats], label: str, value: str, *, band: float = 0.0,
    errors: tuple[Floats, Floats] | None = None, title: str = "",
) -> Axes:  # fmt: skip
    """Two curves in bins, and their ratio below.

    Args:
        edges: (B + 1,) of the bins.
        pair: (B,) of the events, and of what was drawn.
        label: of the horizontal axis.
        value: of the vertical one.
        band: half the height of a grey band about 1 in the ratio: what is asked for.
        errors: (B,) of both.
        title: heads the legend.

    Returns:
        The upper axes.
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
    """Images in rows that have a name.

    Args:
        images: of each row (n, H, W).
        names: of the rows.
        energies: of cells, on one logarithmic scale of colours for all; else grey in [0, 1].
        title: below.

    Returns:
        The axes, in which each image has axes of its own.
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
            panel = ax.inset_axes(box)
            panel.imshow(image, interpolation="nearest", aspect="auto", **look)
            panel.set(xticks=[], yticks=[])
            panel.minorticks_off()
    ax.set_xlabel(title, fontsize=scaled(15.0))
    finish(ax)
    return ax
