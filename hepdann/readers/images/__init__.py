"""Images of events: the collaboration's HDF5 files, and ROOT trees of hits."""

from __future__ import annotations

from .choose import plan_images
from .events import SEGMENTS, ImageEvents, plan_events
from .first_events import first_events
from .plan import ImagePlan, has_images
from .raster import Hits, rasterise
from .reader import image_units, read_tables

__all__ = [
    "SEGMENTS",
    "Hits",
    "ImageEvents",
    "ImagePlan",
    "first_events",
    "has_images",
    "image_units",
    "plan_events",
    "plan_images",
    "rasterise",
    "read_tables",
]
