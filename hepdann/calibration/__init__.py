"""Forward maps MC → data, fitted to unlabelled data: which mismodelling, how large, how sure."""

from __future__ import annotations

from .calibrate import Calibration, CalibrationReport, calibrate
from .families import Detector, Family, ShiftFamily, family
from .fit import FamilyFit, fit_family

__all__ = [
    "Calibration",
    "CalibrationReport",
    "Detector",
    "Family",
    "FamilyFit",
    "ShiftFamily",
    "calibrate",
    "family",
    "fit_family",
]
