"""A run in the experiment's framework: ONNX, C++."""

from __future__ import annotations

from .check import Agreement
from .exporting import Exported, export
from .features import Input
from .frameworks import Framework

__all__ = ["Agreement", "Exported", "Framework", "Input", "export"]
