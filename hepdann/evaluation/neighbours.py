"""Consistency: whether events that look alike are scored alike, as a figure with its error."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..criteria import disagreement, neighbours_of
from ..stats.figure import Figure, as_weight, weighted_mean

__all__ = ["consistency"]


def consistency(
    features: ArrayLike,
    score: ArrayLike,
    k: int = 8,
    variant: Literal["default", "study"] = "default",
    weight: ArrayLike | None = None,
) -> Figure:
    """1 - (1/N) Σᵢ |ŷᵢ - (1/k) Σ_{j ∈ kNN(xᵢ)} ŷⱼ|, which needs no label.

    The variants are those of :func:`hepdann.criteria.neighbours_of`.

    Args:
        features: (N, F); NaN marks a missing value.
        score: (N, C) class probabilities, or (N,) the probability of class 1.
        k: number of neighbours.
        variant: "default" or "study".
        weight: (N,) weights of the outer mean.

    Returns:
        1 where the score is locally constant. The error takes the N terms as independent.

    Raises:
        ValueError: with no more than k events.
    """
    count = len(np.asarray(features))
    if count <= k:
        raise ValueError(f"{k} neighbours need more than {count} events")
    terms = disagreement(score, neighbours_of(features, k, variant), variant)
    return weighted_mean(1.0 - terms, as_weight(weight, count))
