"""A few numbers an event that stand in for its images where pixels would say too much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .hits import Hits
from .layout import View

__all__ = ["VIEW_FIGURES", "view_figures"]

VIEW_FIGURES = {
    "energy": "sum of the pixels",
    "hits": "number of hits",
    "first_plane": "first plane that is hit",
    "last_plane": "last plane that is hit",
}


def view_figures(hits: Hits, views: Sequence[View]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """:data:`VIEW_FIGURES` of each view, from its first channel.

    Args:
        hits: of N events, the views one after the other.
        views: their shapes.

    Returns:
        Names such as ``energy_x``, and (N, 4 · views) values; planes of a view without a hit are
        NaN.
    """
    row = np.repeat(np.arange(len(hits)), np.diff(hits.start))
    names: list[str] = []
    columns: list[NDArray[np.floating]] = []
    first = 0
    for view in views:
        pixel = hits.place - first
        own = (pixel >= 0) & (pixel < view.height * view.width)
        event, plane = row[own], pixel[own] % view.width
        lowest, highest = np.full(len(hits), np.inf), np.full(len(hits), -np.inf)
        np.minimum.at(lowest, event, plane)
        np.maximum.at(highest, event, plane)
        columns += [
            np.bincount(event, hits.value[own], minlength=len(hits)).astype(np.float64),
            np.bincount(event, minlength=len(hits)).astype(np.float64),
            np.where(np.isfinite(lowest), lowest, np.nan),
            np.where(np.isfinite(highest), highest, np.nan),
        ]
        names += [f"{figure}_{view.name}" for figure in VIEW_FIGURES]
        first += view.channels * view.height * view.width
    return tuple(names), np.stack(columns, axis=1).astype(np.float32)
