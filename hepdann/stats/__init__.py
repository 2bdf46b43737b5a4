"""Statistics of arrays: weighted numbers with errors, distances, tests, histograms, neighbours.

Nothing here knows a file, a tensor or where a label is from: what a function needs is an argument.
"""

from __future__ import annotations

from .distances import kolmogorov, wasserstein
from .figure import Figure, effective_events, weighted_mean
from .ranking import Roc, auc, roc

__all__ = [
    "Figure",
    "Roc",
    "auc",
    "effective_events",
    "kolmogorov",
    "roc",
    "wasserstein",
    "weighted_mean",
]
