"""Forward maps MC → data, fitted to unlabelled data: which mismodelling, how large, how sure."""

from __future__ import annotations

from .families import Detector, Family, ShiftFamily, family, same_families, shift_families
from .fit import FamilyFit, fit_family
from .images import image_families
from .objects import ObjectSource, ObjectTarget, object_families
from .result import Calibration, CalibrationReport, FamilyCandidate, Profile, with_parameter
from .search import calibrate

__all__ = [
    "Calibration", "CalibrationReport", "Detector", "Family", "FamilyCandidate", "FamilyFit",
    "ObjectSource", "ObjectTarget", "Profile", "ShiftFamily", "calibrate", "family", "fit_family",
    "image_families", "object_families", "same_families", "shift_families", "with_parameter",
]  # fmt: skip
