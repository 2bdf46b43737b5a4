"""Numbers to figures, in the experiments' styles; no statistic is computed here.

Figures are drawn on ``ax``, by default of a new figure, and give their uppermost axes back.
``title`` heads the legend; ``config`` says how figures look; what draws several figures into a
folder makes it if it is missing, and gives the files.
"""

from __future__ import annotations

from .axes.frame import save
from .axes.label import experiment_label
from .axes.legend import settle
from .axes.styles import style
from .figures.events import event, plot_events
from .figures.matrices import confusion, correlation
from .figures.planes import latent
from .figures.profiles import calibration, efficiency, importance
from .figures.roc import roc
from .figures.stacks import data_mc, scores
from .figures.sweeps import loss, sweep
from .generated import plot_generated
from .jobs import register
from .mismodelling import distance_profile, feature_shifts, plot_calibration, plot_diagnosis
from .run import draw_figure, figure_names, plot_comparison, plot_run
from .scan import plot_scan
from .segments import Misclassified, misclassified

__all__ = [
    "Misclassified",
    "calibration", "confusion", "correlation", "data_mc", "distance_profile", "draw_figure",
    "efficiency", "event", "experiment_label",
    "feature_shifts", "figure_names", "importance", "latent", "loss", "misclassified",
    "plot_calibration", "plot_comparison",
    "plot_diagnosis", "plot_events", "plot_generated", "plot_run", "plot_scan", "register", "roc",
    "save", "scores", "settle", "style", "sweep",
]  # fmt: skip
