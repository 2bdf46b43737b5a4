"""What is minimised: one small file a method."""

from __future__ import annotations

from .base import AdversaryWeight, Batch, Method, Objective, Phase
from .dann import DANN_PHASES, unwatched
from .registry import calibration_of, get, method_of, names, register

__all__ = [
    "DANN_PHASES",
    "AdversaryWeight",
    "Batch",
    "Method",
    "Objective",
    "Phase",
    "calibration_of",
    "get",
    "method_of",
    "names",
    "register",
    "unwatched",
]
