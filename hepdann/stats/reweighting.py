"""Weights with which one sample looks like another: class by class, or event by event."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Floats, standardiser
from .figure import as_weight, mean_of
from .trees import one_thread

__all__ = ["class_sums", "density_ratio", "reweighted"]

_MOST = 20_000  # events of each domain that the domain classifier sees
_LARGEST = 50.0  # density ratios above this are beyond what a classifier can know


def class_sums(label: NDArray[np.integer], weight: NDArray[np.floating], classes: int) -> Floats:
    """(C,) sum of the weights of each class."""
    sums = np.bincount(label, weights=weight.astype(np.float64), minlength=classes)
    return np.asarray(sums, dtype=np.float64)


def reweighted(
    weight: NDArray[np.floating], label: NDArray[np.integer], present: Floats, wanted: Floats
) -> NDArray[np.float32]:
    """Event weights that give the classes other fractions; the sum stays if all are there.

    Args:
        weight: (N,) event weights.
        label: (N,) class index.
        present: (C,) class fractions, by these weights.
        wanted: (C,) fractions to have; a class that is not there stays so.
    """
    factor = np.where(present > 0, wanted / np.where(present > 0, present, 1.0), 0.0)
    return np.asarray((weight * factor[label]).astype(np.float32))


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
    with one_thread():
        model = LogisticRegression(C=1.0, solver="newton-cholesky")
        model.fit(x, domain, sample_weight=sizes * len(x))
        logit = model.decision_function(terms(sides[0]))
    ratio = np.minimum(np.exp(np.clip(logit, -30.0, 30.0)), _LARGEST)
    mean = mean_of(ratio, weights[0])
    return ratio / mean if mean is not None and mean > 0 else np.ones(len(ratio))
