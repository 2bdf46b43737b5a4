"""Nearest neighbours, and the consistency of a score with that of neighbouring events."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .classification import as_scores
from .figure import Figure, Floats, as_weight, weighted_mean

_TREE_FEATURES = 15  # beyond that a tree looks at nearly every point, and brute force is faster
_BLOCK = 65_536  # points that are looked up at a time: (block, k) arrays stay small

Variant = Literal["default", "study"]


def consistency(
    features: ArrayLike,
    score: ArrayLike,
    k: int = 8,
    variant: Variant = "default",
    weight: ArrayLike | None = None,
) -> Figure:
    """1 - (1/N) Σᵢ |ŷᵢ - (1/k) Σ_{j ∈ kNN(xᵢ)} ŷⱼ|, which needs no label.

    Source: the original ALEPH study, which ranked its networks by it (``variant="study"``). It asks
    for a smooth score, not for a right one: it is 1 where the score is locally constant. The error
    takes the N terms as independent.

    Raises:
        ValueError: with no more than k events.
    """
    count = len(np.asarray(features))
    if count <= k:
        raise ValueError(f"{k} neighbours need more than {count} events")
    terms = disagreement(score, neighbours_of(features, k, variant), variant)
    return weighted_mean(1.0 - terms, as_weight(weight, count))


def neighbours_of(
    features: ArrayLike, k: int = 8, variant: Variant = "default"
) -> NDArray[np.intp]:
    """(N, k) rows of the nearest events of each event.

    ``default`` looks for them in standardised features, where a missing value sits at the mean, and
    leaves the event itself out. ``study`` is the form of the original ALEPH study: features as they
    come, and each event is its own first neighbour.
    """
    x = np.asarray(features, dtype=np.float64)
    if variant == "study":
        return nearest(np.where(np.isnan(x), 0.0, x), k, itself=True)
    return nearest(_standardised(x), k)


def disagreement(score: ArrayLike, rows: NDArray[np.intp], variant: Variant = "default") -> Floats:
    """(N,) |ŷᵢ - mean of ŷ over the nearest events| of each event.

    For more than two classes |·| is half the sum over classes, which is the same for two. The
    neighbours' mean is unweighted: a sum of few signed weights would not bound it. ``rows`` are
    those of :func:`neighbours_of`; the study compares logits, by default it is probabilities.
    """
    y = as_scores(score)
    if variant == "study":
        tiny = float(np.finfo(np.float32).eps)
        p = np.clip(y, tiny, 1.0 - tiny)
        y = np.log(p / (1.0 - p))
    near = np.zeros_like(y)
    for column in rows.T:  # no (N, k, C) array
        near += y[column]
    return np.asarray(0.5 * np.abs(y - near / rows.shape[1]).sum(axis=1))


def nearest(points: Floats, k: int, *, itself: bool = False) -> NDArray[np.intp]:
    """(N, k) rows of the nearest of finite points (N, F), Euclidean and exact, in no order.

    Equal points, of which spiked features make many, are taken as they come; ``itself`` says
    whether a point counts as its own neighbour.
    """
    count = k if itself else k + 1
    if points.shape[1] <= _TREE_FEATURES:
        rows = _by_tree(points, count)
    else:
        from sklearn.neighbors import NearestNeighbors

        finder = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points)
        rows = np.asarray(finder.kneighbors(points, return_distance=False))
    if itself:
        return rows
    self_match = rows == np.arange(len(rows))[:, None]  # anywhere among equal points, or missing
    self_match[~self_match.any(axis=1), -1] = True
    return np.asarray(rows[~self_match].reshape(len(rows), -1))


def _by_tree(points: Floats, count: int) -> NDArray[np.intp]:
    from scipy.spatial import cKDTree

    # a sliding midpoint copes with the many equal values of spiked features
    tree = cKDTree(points, balanced_tree=False)
    order = np.asarray(tree.indices)  # neighbouring points meet the same leaves in the cache
    rows = np.empty((len(points), count), dtype=np.intp)
    for start in range(0, len(points), _BLOCK):
        block = order[start : start + _BLOCK]
        rows[block] = np.asarray(tree.query(points[block], k=count)[1]).reshape(-1, count)
    return rows


def _standardised(x: Floats) -> Floats:
    missing = np.isnan(x)
    known = np.where(missing, 0.0, x)
    count = np.maximum((~missing).sum(axis=0), 1)
    mean = known.sum(axis=0) / count
    centred = np.where(missing, 0.0, x - mean)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))
