"""A run in the rest of the analysis: ONNX, C++, templates for ROOT and pyhf."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import getter
from .templates import pyhf_workspace, write_histograms, write_workspace

if TYPE_CHECKING:
    from .check import Agreement
    from .exporting import Exported, export
    from .features import Framework, GraphInput

__all__ = [
    "Agreement", "Exported", "Framework", "GraphInput", "export", "pyhf_workspace",
    "write_histograms", "write_workspace",
]  # fmt: skip

__getattr__ = getter(__name__)
