"""What is minimised: methods of one kind in one file, each a few lines."""

from __future__ import annotations

from ..registry import calibration_of, method_of
from .base import AdversaryWeight, Batch, Method, Objective, Phase, get, names, register
from .dann import DANN_PHASES, unwatched

__all__ = [
    "DANN_PHASES", "AdversaryWeight", "Batch", "Method", "Objective", "Phase", "calibration_of",
    "get", "method_of", "names", "register", "unwatched",
]  # fmt: skip
