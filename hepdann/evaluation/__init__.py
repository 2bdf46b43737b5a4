"""Numbers with errors, always weighted; figures are drawn elsewhere.

Target labels of pseudo-data and of simulated "data" are read in this package alone.
"""

from __future__ import annotations

from .figure import Figure, bootstrap, effective_events
from .histograms import DataMC, Histogram, binning, data_mc, garwood, histogram
from .ranking import Roc, auc, roc

__all__ = [
    "DataMC",
    "Figure",
    "Histogram",
    "Roc",
    "auc",
    "binning",
    "bootstrap",
    "data_mc",
    "effective_events",
    "garwood",
    "histogram",
    "roc",
]
