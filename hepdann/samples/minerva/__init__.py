"""A toy of MINERvA: neutrino interactions as hits in planes of scintillator strips."""

from __future__ import annotations

from .events import Events, simulate
from .geometry import (
    Conditions,
    Geometry,
    Settings,
    geometry,
    nominal,
    segment_of,
    settings,
    target,
)
from .writing import TREE, Track, find_tracks, write_minerva

__all__ = [
    "TREE",
    "Conditions",
    "Events",
    "Geometry",
    "Settings",
    "Track",
    "find_tracks",
    "geometry",
    "nominal",
    "segment_of",
    "settings",
    "simulate",
    "target",
    "write_minerva",
]
