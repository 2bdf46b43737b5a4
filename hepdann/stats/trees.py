"""Boosted trees of features in quantile bins: the classifiers of tests and estimates."""

from __future__ import annotations

import functools
import sys
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .figure import Floats


def boosted_trees(
    seed: int, *, iterations: int, learning_rate: float, leaves: int = 8, smallest: int = 20
) -> Any:
    """A classifier that is good enough in a tenth of a second, ``smallest`` events in a leaf."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=iterations,
        learning_rate=learning_rate,
        max_leaf_nodes=leaves,
        min_samples_leaf=smallest,
        early_stopping=False,
        random_state=seed,
    )


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
    return np.stack(columns, axis=1).astype(np.float64)


def binned_or_missing(x: NDArray[np.floating], edges: list[Floats]) -> Floats:
    """Number of the bin of every entry, a spike apart from what is above it, and NaN of NaN.

    Trees fail on a feature that is always missing: of one without edges, all is 0.
    """
    missing = np.isnan(x) & np.array([len(e) > 0 for e in edges])
    return np.where(missing, np.nan, binned(x, edges, side="left"))


def one_thread() -> Any:
    """A context without threads, which cost more than they bring at this size."""
    return _thread_pools("sklearn.ensemble" in sys.modules).limit(limits=1)


@functools.cache
def _thread_pools(trees_are_loaded: bool) -> Any:
    """Those of the libraries in memory; the search for them takes as long as a small tree."""
    del trees_are_loaded  # but with them comes a library of threads, for which to search anew
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
