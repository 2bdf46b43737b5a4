"""The names a setting may take, known without importing what they stand for."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable

__all__ = [
    "ALIGNMENTS",
    "FIGURE_SIZES",
    "METHODS",
    "SHIFTS",
    "STYLES",
    "method_names",
    "nearest",
    "shift_names",
]

SHIFTS = (
    "identity",
    "sine",
    "sine-third",
    "sine-cubed",
    "sine-fifth",
    "cosine",
    "gaussian",
    "energy-scale",
    "energy-smear",
    "dead-channels",
)
METHODS = (
    "source-only",
    "dann",
    "dann-alternating",
    "dann-joint",
    "hybrid-dann",
    "hybrid-alternating",
    "cdan",
    "cdan-entropy",
    "mmd",
    "coral",
    "self-training",
)
ALIGNMENTS = ("moments", "quantile", "gaussian-ot", "sliced", "affine")
STYLES = ("ATLAS", "CMS", "LHCb", "LHCb2", "ALICE", "DUNE", "ROOT")
FIGURE_SIZES = ("half-slide", "slide", "column", "page")


def _registered(module: str) -> tuple[str, ...]:
    # A user can only have registered a name in a room that is imported already, so looking at
    # what is loaded finds every name and imports nothing.
    names = getattr(sys.modules.get(module), "names", None)
    return tuple(names()) if callable(names) else ()


def shift_names() -> tuple[str, ...]:
    """Every shift, those that a user registered included."""
    return tuple(dict.fromkeys((*SHIFTS, *_registered("hepdann.shifts"))))


def method_names() -> tuple[str, ...]:
    """Every method, those that a user registered included."""
    return tuple(dict.fromkeys((*METHODS, *_registered("hepdann.methods"))))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was most likely meant to be, ``None`` if none is near.

    Case, hyphens and underscores do not count.
    """

    def plain(text: str) -> str:
        return text.lower().replace("_", "-").strip("-")

    originals = {plain(candidate): candidate for candidate in reversed(list(known))}
    close = difflib.get_close_matches(plain(name), originals, n=1, cutoff=0.6)
    return originals[close[0]] if close else None
