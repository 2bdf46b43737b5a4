"""A toy of MINERvA: neutrino interactions as hits in planes of scintillator strips."""

from __future__ import annotations

from .settings import Settings, settings

__all__ = ["Settings", "settings"]
