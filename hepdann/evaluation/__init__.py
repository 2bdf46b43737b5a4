"""Figures of runs and samples, always weighted, by the statistics of ``hepdann.stats``.

Target labels of pseudo-data and of simulated "data" are read in this package alone.
"""

from __future__ import annotations

from ..stats import (
    Calibration,
    Confusion,
    FeatureShift,
    Figure,
    Histogram,
    Roc,
    TwoSample,
    accuracy,
    auc,
    binning,
    calibration,
    confusion,
    consistency,
    correlation,
    effective_events,
    fill,
    garwood,
    histogram,
    kolmogorov,
    log_loss,
    majority,
    predicted,
    prior_matched_threshold,
    proxy_distance,
    rank_features,
    roc,
    separation,
    signal_fraction,
    two_sample,
    wasserstein,
    weighted_mean,
    without_sentinels,
)  # fmt: skip
from ..store.scores.reader import RunScores, open_scores
from .columns import Columns
from .datamc import DataMC, compare_feature, data_mc, outside_bins
from .diagnosis import Closure, Diagnosis, diagnose
from .latent import Importance, domain_importance, permutation_importance
from .metrics.summary import summarise
from .minerva import ENERGY, EventPicture, event_pictures, tensor_pictures
from .quick_classifier import LabelShift, QuickClassifier, ScoreEffect, label_shift, score_effect
from .templates import Templates, TemplateSettings, fill_templates
from .truth import PeekObserver, Truth, TruthFile, open_truth, oracle_source, truth_of, write_truth
from .working_points import (
    PointRow,
    Profile,
    WorkingPoint,
    efficiency_profile,
    flat_thresholds,
    point_rows,
    run_profile,
    run_thresholds,
    run_working_points,
    threshold_at,
    working_points,
)

__all__ = [
    "ENERGY", "Calibration", "Closure", "Columns", "Confusion", "DataMC", "Diagnosis",
    "EventPicture", "FeatureShift", "Figure", "Histogram", "Importance", "LabelShift",
    "PeekObserver", "PointRow", "Profile", "QuickClassifier", "Roc", "RunScores", "ScoreEffect",
    "TemplateSettings", "Templates", "Truth", "TruthFile", "TwoSample", "WorkingPoint",
    "accuracy", "auc", "binning", "calibration", "compare_feature", "confusion", "consistency",
    "correlation", "data_mc", "diagnose", "domain_importance", "effective_events",
    "efficiency_profile", "event_pictures", "fill", "fill_templates", "flat_thresholds",
    "garwood", "histogram", "kolmogorov", "label_shift", "log_loss", "majority", "open_scores",
    "open_truth", "oracle_source", "outside_bins", "permutation_importance", "point_rows",
    "predicted", "prior_matched_threshold", "proxy_distance", "rank_features", "roc", "run_profile",
    "run_thresholds", "run_working_points", "score_effect", "separation", "signal_fraction",
    "summarise", "tensor_pictures", "threshold_at", "truth_of", "two_sample", "wasserstein",
    "weighted_mean", "without_sentinels", "working_points", "write_truth",
]  # fmt: skip
