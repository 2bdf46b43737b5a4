"""The styles and sizes of figures, known without importing what draws them."""

from __future__ import annotations

from collections.abc import Iterable

STYLES = ("ATLAS", "CMS", "LHCb", "LHCb2", "ALICE", "DUNE", "ROOT")
FIGURE_SIZES = ("half-slide", "slide", "column", "page")


def t_text(t: float | Iterable[float]) -> str:
    """The t of a shift as text, ``3``; of shifts joined with + those of each, ``3+8``."""
    return "+".join(f"{one:g}" for one in ([t] if isinstance(t, int | float) else t))
