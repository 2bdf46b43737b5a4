"""Source-only on calibrated MC: the events that it trains on make the difference."""

from __future__ import annotations

from dataclasses import replace

from ..registry import PARAMETRISED
from .dann import SOURCE_ONLY

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

AWARE = replace(
    CALIBRATED,
    name=PARAMETRISED,
    summary="the same with the map's parameters, drawn for each event, as an input (Baldi 2016)",
)
