"""Whether events that look alike are scored alike, as a criterion."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..stats import neighbours


def consistency(
    features: ArrayLike,
    score: ArrayLike,
    k: int = 8,
    variant: neighbours.Variant = "default",
    weight: ArrayLike | None = None,
) -> float | None:
    """Value of :func:`hepdann.stats.consistency`; larger is taken to be better.

    Returns:
        ``None`` with no more than k events, or without a positive sum of weights.
    """
    if len(np.asarray(features)) <= k:
        return None
    value = neighbours.consistency(features, score, k, variant, weight).value
    return value if np.isfinite(value) else None
