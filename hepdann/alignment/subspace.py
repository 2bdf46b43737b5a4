"""Subspace alignment: the principal axes of the source turned onto those of the target."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DIMENSIONS = (10, 20, 40, 80, 160)
_TOLERANCE, _MOST_ROUNDS = 1e-3, 300
_AS_GOOD = 0.002  # accuracy by which a larger subspace must be better

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SubspaceAlignment:
    """B. Fernando et al., "Unsupervised visual domain adaptation using subspace alignment" (2013).

    The source is seen in its first d principal axes, turned by ``X_Sᵀ X_T`` onto those of the
    target; the target in its own.

    Attributes:
        means: (F,) of source and target.
        axes: (F, d) that source and target are projected on.
    """

    means: tuple[Floats, Floats]
    axes: tuple[Floats, Floats]

    @classmethod
    def fit(cls, source: ArrayLike, target: ArrayLike, dimension: int) -> Self:
        """Fit to features (N, F) of the source and (M, F) of the target; no label is needed."""
        means, bases = [], []
        for sample in (source, target):
            x = np.asarray(sample, np.float64)
            means.append(x.mean(0))
            _, vectors = np.linalg.eigh(np.cov(x, rowvar=False))  # axes of rising variance
            bases.append(vectors[:, ::-1][:, :dimension])
        turned = bases[0] @ (bases[0].T @ bases[1])
        return cls((means[0], means[1]), (turned, bases[1]))

    def source(self, x: ArrayLike) -> Floats:
        """The source (N, F) as a classifier is trained on it, (N, d)."""
        return np.asarray((np.asarray(x, np.float64) - self.means[0]) @ self.axes[0])

    def target(self, x: ArrayLike) -> Floats:
        """The target (M, F) as that classifier scores it, (M, d)."""
        return np.asarray((np.asarray(x, np.float64) - self.means[1]) @ self.axes[1])


def subspace_scores(
    source: ArrayLike, label: ArrayLike, target: ArrayLike, test: ArrayLike, seed: int = 0
) -> tuple[Floats, int]:
    """Class probabilities of events of the target, by logistic regression on the aligned source.

    The dimension is the smallest whose accuracy on the half of the source that the regression has
    not seen is within .002 of the best: no label of the target enters.

    Args:
        source: (N, F) features.
        label: (N,) class of each.
        target: (M, F) features that the axes are fitted to.
        test: (K, F) features of the target to be scored.
        seed: of the halves.

    Returns:
        (K, C), and the dimension.
    """
    from sklearn.linear_model import LogisticRegression

    x, y = np.asarray(source, np.float64), np.asarray(label)
    held = np.random.default_rng(seed).permutation(len(x)) % 2 == 1
    best: tuple[float, int] | None = None
    for dimension in [d for d in _DIMENSIONS if d <= x.shape[1]] or [x.shape[1]]:
        aligned = SubspaceAlignment.fit(x, target, dimension).source(x)
        scale = aligned.std()
        model = LogisticRegression(tol=_TOLERANCE, max_iter=_MOST_ROUNDS)
        with _no_warning():
            model.fit(aligned[~held] / scale, y[~held])
        right = float(model.score(aligned[held] / scale, y[held]))
        if best is None or right > best[0] + _AS_GOOD:
            best = right, dimension
    assert best is not None
    fitted = SubspaceAlignment.fit(x, target, best[1])
    aligned = fitted.source(x)
    model = LogisticRegression(tol=_TOLERANCE, max_iter=_MOST_ROUNDS)
    with _no_warning():
        model.fit(aligned / aligned.std(), y)
    return np.asarray(model.predict_proba(fitted.target(test) / aligned.std())), best[1]


@contextmanager
def _no_warning() -> Iterator[None]:
    """A regression that is not quite at its minimum is as good a classifier."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
