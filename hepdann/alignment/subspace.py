"""Subspace alignment: the principal axes of the source turned onto those of the target.

B. Fernando et al., "Unsupervised visual domain adaptation using subspace alignment" (2013).
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DIMENSIONS = (10, 20, 40, 80, 160)
_TOLERANCE, _MOST_ROUNDS = 1e-3, 300
_AS_GOOD = 0.002  # accuracy by which a larger subspace must be better

Floats = NDArray[np.float64]


def aligned_subspaces(
    source: Floats, target: ArrayLike, test: ArrayLike, dimension: int
) -> tuple[Floats, Floats]:
    """Source (N, F) as a classifier is trained on it, (N, d), and the test as it is scored, (K, d).

    The source is seen in its first d principal axes, turned by ``X_Sᵀ X_T`` onto those of the
    target, to which the test belongs; the test in these. No label is needed.
    """
    (mean, axes), (other, seen) = (_principal(sample, dimension) for sample in (source, target))
    return (source - mean) @ (axes @ (axes.T @ seen)), (np.asarray(test, np.float64) - other) @ seen


def _principal(sample: ArrayLike, dimension: int) -> tuple[Floats, Floats]:
    """Mean (F,) and axes (F, d) of falling variance."""
    x = np.asarray(sample, np.float64)
    return x.mean(0), np.linalg.eigh(np.cov(x, rowvar=False))[1][:, ::-1][:, :dimension]


def subspace_scores(
    source: ArrayLike, label: ArrayLike, target: ArrayLike, test: ArrayLike
) -> tuple[Floats, int]:
    """Class probabilities of events of the target, by logistic regression on the aligned source.

    Features are (N, F) of the source, with (N,) classes, (M, F) of the target, to which the axes
    are fitted, and (K, F) to be scored. The dimension is the smallest whose accuracy on the half of
    the source that the regression has not seen is within .002 of the best: no label of the target
    enters.

    Returns:
        (K, C), and the dimension.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    x, y = np.asarray(source, np.float64), np.asarray(label)
    held = np.random.default_rng(0).permutation(len(x)) % 2 == 1
    best, right = 0, -1.0
    model = LogisticRegression(tol=_TOLERANCE, max_iter=_MOST_ROUNDS)
    with warnings.catch_warnings():  # one that is not quite at its minimum is as good a classifier
        warnings.simplefilter("ignore", ConvergenceWarning)
        for dimension in [d for d in _DIMENSIONS if d <= x.shape[1]] or [x.shape[1]]:
            aligned, _ = aligned_subspaces(x, target, test, dimension)
            aligned /= aligned.std()
            model.fit(aligned[~held], y[~held])
            if (reached := float(model.score(aligned[held], y[held]))) > right + _AS_GOOD:
                best, right = dimension, reached
        aligned, scored = aligned_subspaces(x, target, test, best)
        model.fit(aligned / aligned.std(), y)
    return np.asarray(model.predict_proba(scored / aligned.std())), best
