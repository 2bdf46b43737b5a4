"""Statistics of arrays: weighted numbers with errors, distances, tests, histograms, neighbours.

Nothing here knows a file, a tensor or where a label is from: what a function needs is an argument.
"""

from __future__ import annotations

from .distances import kolmogorov, wasserstein
from .features import FeatureShift, correlation, rank_features
from .figure import Figure, effective_events, weighted_mean
from .granularity import common_granularity
from .ranking import Roc, auc, roc
from .sample import Events, Sample
from .two_sample import TwoSample, domain_classifier, separation, two_sample

__all__ = [
    "Events",
    "FeatureShift",
    "Figure",
    "Roc",
    "Sample",
    "TwoSample",
    "auc",
    "common_granularity",
    "correlation",
    "domain_classifier",
    "effective_events",
    "kolmogorov",
    "rank_features",
    "roc",
    "separation",
    "two_sample",
    "wasserstein",
    "weighted_mean",
]
