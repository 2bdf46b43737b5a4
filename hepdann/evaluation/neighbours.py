"""Consistency: whether events that look alike are scored alike."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .figure import Figure, as_weight, weighted_mean

__all__ = ["consistency", "nearest"]

_TREE_FEATURES = 15  # beyond that a tree looks at nearly every point, and brute force is faster


def consistency(
    features: ArrayLike,
    score: ArrayLike,
    k: int = 8,
    variant: Literal["default", "study"] = "default",
    weight: ArrayLike | None = None,
) -> Figure:
    """1 - (1/N) Σᵢ |ŷᵢ - (1/k) Σ_{j ∈ kNN(xᵢ)} ŷⱼ|, which needs no label.

    ``default`` compares probabilities, looks for neighbours in standardised features, where a
    missing value sits at the mean, and leaves the point itself out. ``study`` is the form of the
    original ALEPH study: logits, features as they come, and each point is its own first neighbour.
    For more than two classes |·| is half the sum over classes, which is the same for two.

    Args:
        features: (N, F); NaN marks a missing value.
        score: (N, C) class probabilities, or (N,) the probability of class 1.
        k: number of neighbours.
        variant: "default" or "study".
        weight: (N,) weights of the outer mean; the neighbours' mean is unweighted, a sum of few
            signed weights would not bound it.

    Returns:
        1 where the score is locally constant. The error takes the N terms as independent.

    Raises:
        ValueError: with no more than k events.
    """
    x = np.asarray(features, dtype=np.float64)
    if len(x) <= k:
        raise ValueError(f"{k} neighbours need more than {len(x)} events")
    y = np.asarray(score, dtype=np.float64)
    y = np.stack([1.0 - y, y], axis=1) if y.ndim == 1 else y
    if variant == "study":
        tiny = float(np.finfo(np.float32).eps)
        p = np.clip(y, tiny, 1.0 - tiny)
        y = np.log(p / (1.0 - p))
        x = np.where(np.isnan(x), 0.0, x)
        rows = nearest(x, k, itself=True)
    else:
        rows = nearest(_standardised(x), k)
    distance = 0.5 * np.abs(y - y[rows].mean(axis=1)).sum(axis=1)
    return weighted_mean(1.0 - distance, as_weight(weight, len(x)))


def nearest(points: NDArray[np.float64], k: int, *, itself: bool = False) -> NDArray[np.intp]:
    """Exact nearest neighbours, Euclidean.

    Args:
        points: (N, F), finite.
        k: how many, less than N.
        itself: whether a point counts as its own neighbour.

    Returns:
        (N, k) row indices.
    """
    count = k if itself else k + 1
    if points.shape[1] <= _TREE_FEATURES:
        from scipy.spatial import cKDTree

        # a sliding midpoint copes with the many equal values of spiked features
        _, rows = cKDTree(points, balanced_tree=False).query(points, k=count)
        rows = np.asarray(rows).reshape(len(points), count)
    else:
        from sklearn.neighbors import NearestNeighbors

        finder = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points)
        rows = np.asarray(finder.kneighbors(points, return_distance=False))
    return rows if itself else _without_itself(rows)


def _without_itself(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Drop each point from its own row; among equal points it may be anywhere, or missing."""
    own = rows == np.arange(len(rows))[:, None]
    own[~own.any(axis=1), -1] = True
    return np.asarray(rows[~own].reshape(len(rows), -1))


def _standardised(x: NDArray[np.float64]) -> NDArray[np.float64]:
    missing = np.isnan(x)
    known = np.where(missing, 0.0, x)
    count = np.maximum((~missing).sum(axis=0), 1)
    mean = known.sum(axis=0) / count
    centred = np.where(missing, 0.0, x - mean)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))
