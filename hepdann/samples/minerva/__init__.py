"""A toy of MINERvA: neutrino interactions as hits in planes of scintillator strips."""

from __future__ import annotations

from .events import Events, simulate
from .geometry import Geometry, geometry, segment_of
from .settings import Conditions, Settings, nominal, settings, target
from .tracking import Track, find_tracks
from .writing import TREE, write_minerva

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
