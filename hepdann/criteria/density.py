"""Criteria that weight the source until it looks like the target."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..stats.figure import as_weight, mean_of


def importance_weighted(
    loss: ArrayLike, ratio: ArrayLike, weight: ArrayLike | None = None
) -> float | None:
    """Importance-weighted validation (IWV); smaller is better.

    Source: Sugiyama, Krauledat and Müller, JMLR 8 (2007) 985: the source's validation loss with
    each event times p_target/p_source. It is the target's loss where only p(x) changed and the
    source covers the target; the shifts of a detector change p(y|x) too.

    Args:
        loss: (N,) of source events that were not trained on.
        ratio: (N,) their density ratio.
        weight: (N,) event weights.

    Returns:
        The weighted mean of ratio times loss; with a ratio of 1 the plain loss.
    """
    return mean_of(np.asarray(ratio, dtype=np.float64) * np.asarray(loss), weight)


def dev(loss: ArrayLike, ratio: ArrayLike, weight: ArrayLike | None = None) -> float | None:
    """Deep embedded validation (DEV); smaller is better.

    Source: You et al., ICML 2019, Algorithm 1: the importance-weighted loss with the ratio itself
    as control variate, mean(L) + η·mean(W) - η with η = -Cov(L, W)/Var(W), the ratio taken in the
    latent layer. A ratio that does not vary controls nothing, and the plain mean remains.

    Args:
        loss: (N,) of source events that were not trained on.
        ratio: (N,) density ratio of their latent features.
        weight: (N,) event weights.
    """
    ratio = np.asarray(ratio, dtype=np.float64)
    weighted = ratio * np.asarray(loss, dtype=np.float64)
    w = as_weight(weight, len(ratio))
    mean, centre = mean_of(weighted, w), mean_of(ratio, w)
    if mean is None or centre is None:
        return None
    variance = mean_of((ratio - centre) ** 2, w) or 0.0
    covariance = mean_of((weighted - mean) * (ratio - centre), w) or 0.0
    eta = -covariance / variance if variance > 1e-12 else 0.0
    return mean + eta * (centre - 1.0)
