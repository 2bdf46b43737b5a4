"""Criteria that weight the source until it looks like the target."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..stats.arrays import Floats, standardiser
from ..stats.figure import as_weight, mean_of

__all__ = ["density_ratio", "dev", "importance_weighted"]

_MOST = 20_000  # events of each domain that the domain classifier sees
_LARGEST = 50.0  # density ratios above this are beyond what a classifier can know


def density_ratio(
    source: ArrayLike,
    target: ArrayLike,
    source_weight: ArrayLike | None = None,
    target_weight: ArrayLike | None = None,
) -> Floats:
    """p_target(x)/p_source(x) at the source's events, by a logistic domain classifier.

    Source: Sugiyama et al., Density Ratio Estimation in Machine Learning, 2012, ch. 4. The
    classifier is linear in standardised features and their squares. An event of negative weight
    is given to it as one of the other domain.

    Args:
        source: (N, F) features, of inputs or of a latent layer; NaN marks a missing value.
        target: (M, F) features.
        source_weight: (N,) event weights.
        target_weight: (M,) event weights.

    Returns:
        (N,) positive, with weighted mean 1 over the source.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    sides = [np.asarray(source), np.asarray(target)]
    weights = [
        as_weight(w, len(x)) for w, x in zip((source_weight, target_weight), sides, strict=True)
    ]
    scale = standardiser(sides[0], weights[0])

    def terms(x: ArrayLike) -> Floats:
        z = scale(x)
        return np.hstack([z, z**2 - 1.0])

    fit = [slice(None, None, max(1, -(-len(x) // _MOST))) for x in sides]
    x = np.concatenate([terms(side[rows]) for side, rows in zip(sides, fit, strict=True)])
    w = [side[rows] for side, rows in zip(weights, fit, strict=True)]
    sizes = np.concatenate([np.abs(v) / np.abs(v).sum() for v in w])
    domain = np.concatenate([(v < 0) ^ (k == 1) for k, v in enumerate(w)])
    with threadpool_limits(1):
        model = LogisticRegression(C=1.0, solver="newton-cholesky")
        model.fit(x, domain, sample_weight=sizes * len(x))
        logit = model.decision_function(terms(sides[0]))
    ratio = np.minimum(np.exp(np.clip(logit, -30.0, 30.0)), _LARGEST)
    mean = mean_of(ratio, weights[0])
    return ratio / mean if mean is not None and mean > 0 else np.ones(len(ratio))


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
