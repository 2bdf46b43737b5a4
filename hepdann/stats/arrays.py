"""What is done with scores and features before they are looked at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .figure import as_weight

__all__ = ["Floats", "as_scores", "standardiser"]

Floats = NDArray[np.float64]


def as_scores(score: ArrayLike) -> Floats:
    """(N, C) class probabilities, of which two classes may be given as (N,)."""
    y = np.asarray(score, dtype=np.float64)
    return np.stack([1.0 - y, y], axis=1) if y.ndim == 1 else y


def standardiser(reference: ArrayLike, weight: ArrayLike | None = None) -> Callable[..., Floats]:
    """A function that brings features to the reference's mean 0 and width 1.

    Missing values go to the mean; values beyond 5σ of the reference are drawn in to there, so
    that a single outlier cannot rule a linear model.

    Args:
        reference: (N, F); NaN marks a missing value.
        weight: (N,) event weights; their sizes count here.
    """
    x = np.asarray(reference, dtype=np.float64)
    w = np.abs(as_weight(weight, len(x)))[:, None] * np.isfinite(x)
    known = np.where(np.isfinite(x), x, 0.0)
    total = np.where(w.sum(axis=0) > 0, w.sum(axis=0), 1.0)
    mean = (w * known).sum(axis=0) / total
    width = np.sqrt((w * (known - mean) ** 2).sum(axis=0) / total)
    width = np.where(width > 0, width, 1.0)

    def apply(features: ArrayLike) -> Floats:
        z = (np.asarray(features, dtype=np.float64) - mean) / width
        return np.clip(np.where(np.isfinite(z), z, 0.0), -5.0, 5.0)

    return apply
