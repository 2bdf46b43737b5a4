"""The styles and sizes of figures, known without importing what draws them."""

from __future__ import annotations

__all__ = ["FIGURE_SIZES", "STYLES"]

STYLES = ("ATLAS", "CMS", "LHCb", "LHCb2", "ALICE", "DUNE", "ROOT")
FIGURE_SIZES = ("half-slide", "slide", "column", "page")
