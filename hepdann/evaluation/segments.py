"""Segments of a vertex: purity and efficiency of each, and how many planes a vertex is off."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..stats.classification import predicted
from ..stats.figure import as_weight, weighted_mean
from .working_points import Profile

# first and last plane code of each segment: five passive targets, and the planes between them
SEGMENT_PLANES = (
    (1, 8), (9, 9), (10, 17), (18, 18), (19, 26), (27, 27), (28, 43), (44, 44), (45, 48), (49, 49),
    (50, 173),
)  # fmt: skip
TARGETS = (1, 3, 5, 7, 9)  # segments that are passive targets, the signal of the experiment


def segment_profile(
    score: ArrayLike,
    label: ArrayLike,
    weight: ArrayLike | None,
    *,
    what: Literal["purity", "efficiency"],
) -> Profile:
    """Purity or efficiency of each class, with binomial errors.

    Args:
        score: (N, C) class probabilities, or (N, C + 1) whose last column is "none of them".
        label: (N,) true class.
        weight: (N,) event weights; 1 by default.
        what: purity, the share of a class among the events given it that is truly of it; or
            efficiency, the share of a true class that is given it.

    Returns:
        A bin a class, centred on its index.
    """
    given, label = predicted(score), np.asarray(label)
    w, classes = as_weight(weight, len(label)), int(np.max(label, initial=0)) + 1
    classes = max(classes, np.asarray(score).shape[1] - 1)  # without "none of them"
    figures = []
    for one in range(classes):
        rows = (given if what == "purity" else label) == one
        figures.append(weighted_mean((given == label)[rows].astype(np.float64), w[rows]))
    return Profile.of(np.arange(classes + 1, dtype=np.float64) - 0.5, figures)


def plane_residual(given: ArrayLike, plane: ArrayLike) -> NDArray[np.int64]:
    """How many planes lie between a segment and the plane of the vertex.

    Args:
        given: (N,) segment, one of eleven.
        plane: (N,) true plane code.

    Returns:
        (N,) 0 where the vertex lies in the segment, positive where the segment lies downstream.
    """
    first, last = np.array(SEGMENT_PLANES).T
    given, plane = np.asarray(given), np.asarray(plane, np.int64)
    below, above = first[given] - plane, plane - last[given]
    return np.asarray(np.where(below > 0, below, np.where(above > 0, -above, 0)), np.int64)


def residual_profile(residual: ArrayLike, weight: ArrayLike | None, most: int = 12) -> Profile:
    """Share of the events at each residual from ``-most`` to ``most``; the ends hold all beyond."""
    clipped = np.clip(np.asarray(residual), -most, most)
    w = as_weight(weight, len(clipped))
    places = np.arange(-most, most + 1)
    figures = [weighted_mean((clipped == place).astype(np.float64), w) for place in places]
    return Profile.of(np.arange(-most, most + 2, dtype=np.float64) - 0.5, figures)
