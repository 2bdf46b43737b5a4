"""What is minimised: one small file a method."""

from __future__ import annotations

from .base import Batch, Method, Objective, Phase, Strength
from .dann import DANN_PHASES, unwatched
from .registry import get, names, register

__all__ = [
    "DANN_PHASES",
    "Batch",
    "Method",
    "Objective",
    "Phase",
    "Strength",
    "get",
    "names",
    "register",
    "unwatched",
]
