"""Boosted trees of binned features, as the estimate of class fractions uses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Partition", "area", "bin_edges", "binned", "boosted_trees", "one_thread"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Partition:
    """Halves of both samples, and classifiers that were trained on the other half of the source."""

    halves: tuple[NDArray[np.intp], ...]
    trees: Sequence[Any]
    classes: int

    def probabilities(self, bins: Floats, side: int) -> Floats:
        """(N, C) of source (0) or target (1) events, by the classifier of the other half."""
        out = np.zeros((len(bins), self.classes))
        for half, trees in enumerate(self.trees):
            rows = self.halves[side] == half
            out[np.ix_(rows, trees.classes_)] = trees.predict_proba(bins[rows])
        return out


def boosted_trees(seed: int) -> Any:
    """A classifier that is good enough in a tenth of a second."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=50, learning_rate=0.12, max_leaf_nodes=8, min_samples_leaf=40,
        early_stopping=False, random_state=seed,
    )  # fmt: skip


def bin_edges(x: NDArray[np.floating], bins: int) -> list[Floats]:
    """Inner edges of bins with equally many events, feature by feature."""
    ranks = np.linspace(0, 1, bins + 1)[1:-1]
    known = [column[np.isfinite(column)].astype(np.float64) for column in x.T]
    return [np.unique(np.quantile(c, ranks)) if len(c) else np.empty(0) for c in known]


def binned(x: NDArray[np.floating], edges: list[Floats]) -> Floats:
    """Number of the bin of every entry; NaN counts as the last.

    The trees bin anyway, but by weighted percentiles that take longer than all the rest.
    """
    columns = [np.searchsorted(e, c, side="right") for e, c in zip(edges, x.T, strict=True)]
    return np.stack(columns, axis=1).astype(np.float64)


def one_thread() -> Any:
    """A context without threads, which cost more than they bring at this size."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def area(score: Floats, positive: NDArray[np.bool_], weight: Floats) -> float:
    """Weighted area under the ROC curve; ties count half."""
    values, rank = np.unique(score, return_inverse=True)
    high, low = (
        np.bincount(rank[rows], weights=weight[rows], minlength=len(values))
        for rows in (positive, ~positive)
    )
    below = np.cumsum(low) - low / 2
    return float(high @ below / (high.sum() * low.sum()))
