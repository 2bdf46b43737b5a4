"""Numbers with errors, always weighted; figures are drawn elsewhere.

Target labels of pseudo-data and of simulated "data" are read in this package alone.
"""

from __future__ import annotations

from .classification import (
    Confusion,
    accuracy,
    confusion,
    log_loss,
    majority,
    predicted,
    prior_matched_threshold,
    signal_fraction,
)
from .diagnosis import Diagnosis, diagnose
from .features import FeatureShift, correlation, kolmogorov, rank_features
from .figure import Figure, bootstrap, effective_events, weighted_mean
from .histograms import DataMC, Histogram, binning, data_mc, garwood, histogram
from .neighbours import consistency
from .ranking import Roc, auc, roc
from .scores import RunScores, open_scores
from .summary import summarise
from .truth import PeekObserver, Truth, TruthFile, open_truth, oracle_source, write_truth
from .two_sample import TwoSample, separation, two_sample

__all__ = [
    "Confusion",
    "DataMC",
    "Diagnosis",
    "FeatureShift",
    "Figure",
    "Histogram",
    "PeekObserver",
    "Roc",
    "RunScores",
    "Truth",
    "TruthFile",
    "TwoSample",
    "accuracy",
    "auc",
    "binning",
    "bootstrap",
    "confusion",
    "consistency",
    "correlation",
    "data_mc",
    "diagnose",
    "effective_events",
    "garwood",
    "histogram",
    "kolmogorov",
    "log_loss",
    "majority",
    "open_scores",
    "open_truth",
    "oracle_source",
    "predicted",
    "prior_matched_threshold",
    "rank_features",
    "roc",
    "separation",
    "signal_fraction",
    "summarise",
    "two_sample",
    "weighted_mean",
    "write_truth",
]
