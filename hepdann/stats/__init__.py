"""Statistics of arrays: weighted numbers with errors, distances, tests, histograms, neighbours.

Nothing here knows a file, a tensor or where a label is from: what a function needs is an argument.
Unless a function says otherwise, features are (N, F) with NaN for a missing value, labels (N,)
class indices, and weights (N,) event weights of either sign, 1 by default.
"""

from __future__ import annotations

from .decorrelation import (
    Cut,
    best_thresholds,
    cut_at,
    jensen_shannon,
    nuisance_bins,
    rank_in_bins,
    slice_distance,
)
from .distances import (
    consistency,
    disagreement,
    kolmogorov,
    nearest,
    neighbours_of,
    proxy_distance,
    wasserstein,
)
from .figure import Figure, effective_events, weighted_mean
from .granularity import common_granularity, without_sentinels
from .histograms import Histogram, binning, fill, garwood, histogram
from .ranking import (
    CalibrationCurve,
    Confusion,
    Roc,
    accuracy,
    auc,
    calibration_curve,
    confusion,
    expected_accuracy,
    log_loss,
    losses,
    majority,
    predicted,
    prior_matched_threshold,
    roc,
    signal_fraction,
)
from .reweighting import density_ratio, quantile_edges, reweighted
from .two_sample import (
    Events,
    FeatureShift,
    Sample,
    TwoSample,
    correlation,
    domain_classifier,
    rank_features,
    separation,
    two_sample,
)

__all__ = [
    "CalibrationCurve", "Confusion", "Cut", "Events", "FeatureShift", "Figure", "Histogram", "Roc",
    "Sample", "TwoSample", "accuracy", "auc", "best_thresholds", "binning", "calibration_curve",
    "common_granularity", "confusion", "consistency", "correlation", "cut_at", "density_ratio",
    "disagreement", "domain_classifier", "effective_events", "expected_accuracy", "fill", "garwood",
    "histogram", "jensen_shannon", "kolmogorov", "log_loss", "losses", "majority", "nearest",
    "neighbours_of", "nuisance_bins", "predicted", "prior_matched_threshold", "proxy_distance",
    "quantile_edges", "rank_features", "rank_in_bins", "reweighted", "roc", "separation",
    "signal_fraction", "slice_distance", "two_sample", "wasserstein", "weighted_mean",
    "without_sentinels",
]  # fmt: skip
