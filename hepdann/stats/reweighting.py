"""Density ratios and class weights, and the boosted trees in quantile bins that estimate them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .figure import Floats, as_weight, mean_of
from .threads import fitting

_MOST = 20_000  # events of each domain that the domain classifier sees
_LARGEST = 50.0  # density ratios above this are beyond what a classifier can know


def boosted_trees(
    x: Floats,
    label: NDArray[Any],
    weight: Floats,
    *,
    seed: int,
    iterations: int,
    learning_rate: float,
    leaves: int = 8,
    smallest: int = 20,
) -> Any:
    """A classifier that is good enough in a tenth of a second, ``smallest`` events in a leaf.

    ``x`` are the features as numbers of bins; weights are not negative.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(
        max_iter=iterations,
        learning_rate=learning_rate,
        max_leaf_nodes=leaves,
        min_samples_leaf=smallest,
        early_stopping=False,
        random_state=seed,
    )
    with fitting():
        return trees.fit(x, label, weight)


def quantile_edges(values: NDArray[np.floating], ranks: Floats) -> Floats:
    """Rising edges of bins at these ranks of the finite values; none without such a value."""
    finite = values[np.isfinite(values)].astype(np.float64)
    return np.unique(np.quantile(finite, ranks)) if len(finite) else np.empty(0)


def bin_edges(x: NDArray[np.floating], bins: int) -> list[Floats]:
    """Inner edges of bins with equally many events, feature by feature."""
    ranks = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    return [quantile_edges(column, ranks) for column in x.T]


def binned(
    x: NDArray[np.floating], edges: list[Floats], side: Literal["left", "right"] = "right"
) -> Floats:
    """(N, F) number of the bin of every entry; NaN counts as the last.

    The trees bin anyway, but by weighted percentiles that take longer than all the rest. Side
    "left" of an edge has a spike apart from what is above it, "right" from what is below.
    """
    columns = [np.searchsorted(e, c, side=side) for e, c in zip(edges, x.T, strict=True)]
    return np.array(columns, dtype=np.float64).T  # columns lie together, as trees read them


def binned_or_missing(x: NDArray[np.floating], edges: list[Floats]) -> Floats:
    """Number of the bin of every entry, a spike apart from what is above it, and NaN of NaN.

    Trees fail on a feature that is always missing: of one without edges, all is 0.
    """
    missing = np.isnan(x) & np.array([len(e) > 0 for e in edges])
    return np.where(missing, np.nan, binned(x, edges, side="left"))


def class_sums(label: NDArray[np.integer], weight: NDArray[np.floating], classes: int) -> Floats:
    """(C,) sum of the weights of each class."""
    sums = np.bincount(label, weights=weight.astype(np.float64), minlength=classes)
    return np.asarray(sums, dtype=np.float64)


def reweighted(
    weight: NDArray[np.floating], label: NDArray[np.integer], present: Floats, wanted: Floats
) -> NDArray[np.float32]:
    """Event weights that give the classes other fractions; the sum stays if all are there.

    ``present`` and ``wanted`` are (C,) fractions, by weight; a class that is not there stays so.
    """
    factor = np.where(present > 0, wanted / np.where(present > 0, present, 1.0), 0.0)
    return np.asarray((weight * factor[label]).astype(np.float32))


def standardiser(reference: ArrayLike, weight: ArrayLike | None = None) -> Callable[..., Floats]:
    """A function that brings features to the reference's mean 0 and width 1.

    Missing values go to the mean; values beyond 5σ of the reference are drawn in to there, so that
    a single outlier cannot rule a linear model. Of weights the sizes count.
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


def density_ratio(
    source: ArrayLike,
    target: ArrayLike,
    source_weight: ArrayLike | None = None,
    target_weight: ArrayLike | None = None,
) -> Floats:
    """p_target(x)/p_source(x) at the source's events, (N,) positive with weighted mean 1.

    Source: Sugiyama et al., Density Ratio Estimation in Machine Learning, 2012, ch. 4: a logistic
    domain classifier that is linear in standardised features, of inputs or of a latent layer, and
    their squares. An event of negative weight is given to it as one of the other domain.
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
    with fitting():
        model = LogisticRegression(C=1.0, solver="newton-cholesky")
        model.fit(x, domain, sample_weight=sizes * len(x))
        logit = model.decision_function(terms(sides[0]))
    ratio = np.minimum(np.exp(np.clip(logit, -30.0, 30.0)), _LARGEST)
    mean = mean_of(ratio, weights[0])
    return ratio / mean if mean is not None and mean > 0 else np.ones(len(ratio))
