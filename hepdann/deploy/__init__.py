"""A run in the rest of the analysis: ONNX, C++, templates for ROOT and pyhf."""

from __future__ import annotations

from .check import Agreement
from .exporting import Exported, export
from .features import Input
from .frameworks import Framework
from .templates import pyhf_workspace, write_histograms, write_workspace

__all__ = [
    "Agreement",
    "Exported",
    "Framework",
    "Input",
    "export",
    "pyhf_workspace",
    "write_histograms",
    "write_workspace",
]
