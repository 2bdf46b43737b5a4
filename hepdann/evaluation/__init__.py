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
from .comparisons import compare_feature
from .diagnosis import Closure, Diagnosis, diagnose
from .features import FeatureShift, correlation, kolmogorov, rank_features
from .figure import Figure, bootstrap, effective_events, weighted_mean
from .histograms import DataMC, Histogram, binning, data_mc, garwood, histogram
from .label_shift import LabelShift, label_shift
from .neighbours import consistency
from .ranking import Roc, auc, roc
from .score_effect import QuickClassifier, ScoreEffect, score_effect
from .scores import RunScores, open_scores
from .summary import summarise
from .truth import PeekObserver, Truth, TruthFile, open_truth, oracle_source, write_truth
from .two_sample import TwoSample, separation, two_sample
from .wasserstein import wasserstein

__all__ = [
    "Closure",
    "Confusion",
    "DataMC",
    "Diagnosis",
    "FeatureShift",
    "Figure",
    "Histogram",
    "LabelShift",
    "PeekObserver",
    "QuickClassifier",
    "Roc",
    "RunScores",
    "ScoreEffect",
    "Truth",
    "TruthFile",
    "TwoSample",
    "accuracy",
    "auc",
    "binning",
    "bootstrap",
    "compare_feature",
    "confusion",
    "consistency",
    "correlation",
    "data_mc",
    "diagnose",
    "effective_events",
    "garwood",
    "histogram",
    "kolmogorov",
    "label_shift",
    "log_loss",
    "majority",
    "open_scores",
    "open_truth",
    "oracle_source",
    "predicted",
    "prior_matched_threshold",
    "rank_features",
    "roc",
    "score_effect",
    "separation",
    "signal_fraction",
    "summarise",
    "two_sample",
    "wasserstein",
    "weighted_mean",
    "write_truth",
]
