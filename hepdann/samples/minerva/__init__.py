"""A toy of MINERvA: neutrino interactions as hits in planes of scintillator strips."""

from __future__ import annotations

from .events import SimulatedEvents, simulate
from .geometry import (
    Conditions,
    DetectorSettings,
    Geometry,
    geometry,
    nominal,
    segment_of,
    settings,
    target,
)
from .writing import TREE, Track, find_tracks, write_minerva

__all__ = [
    "TREE", "Conditions", "DetectorSettings", "Geometry", "SimulatedEvents", "Track", "find_tracks",
    "geometry", "nominal", "segment_of", "settings", "simulate", "target", "write_minerva",
]  # fmt: skip
