"""Numbers to figures, in the experiments' styles; no statistic is computed here."""

from __future__ import annotations

from .comparison import plot_comparison
from .curves import roc
from .events import event, plot_events
from .frame import save
from .headroom import settle
from .jobs import register
from .label import experiment_label
from .latent import latent
from .losses import loss
from .matrices import confusion, correlation
from .mismodelling import distance_profile, plot_calibration
from .profiles import calibration, efficiency, importance
from .run import figure_names, plot_run
from .scan import plot_scan
from .shift import feature_shifts, plot_diagnosis
from .stacks import data_mc, scores
from .styles import style
from .sweeps import sweep

__all__ = [
    "calibration",
    "confusion",
    "correlation",
    "data_mc",
    "distance_profile",
    "efficiency",
    "event",
    "experiment_label",
    "feature_shifts",
    "figure_names",
    "importance",
    "latent",
    "loss",
    "plot_calibration",
    "plot_comparison",
    "plot_diagnosis",
    "plot_events",
    "plot_run",
    "plot_scan",
    "register",
    "roc",
    "save",
    "scores",
    "settle",
    "style",
    "sweep",
]
