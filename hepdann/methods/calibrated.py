"""Source-only on calibrated MC: the events that it trains on make the difference."""

from __future__ import annotations

from dataclasses import replace

from .dann import SOURCE_ONLY

__all__ = ["CALIBRATED", "CALIBRATED_KNOWN"]

CALIBRATED = replace(
    SOURCE_ONLY,
    name="calibrated",
    summary="source-only on MC that a fitted map makes look like the target",
)

CALIBRATED_KNOWN = replace(
    CALIBRATED,
    name="calibrated-known",
    summary="the same in a study, the family that made the pseudo-data being among those fitted",
)
