"""A run in the rest of the analysis: templates for ROOT and pyhf."""

from __future__ import annotations

from .templates import pyhf_workspace, write_histograms, write_workspace

__all__ = ["pyhf_workspace", "write_histograms", "write_workspace"]
