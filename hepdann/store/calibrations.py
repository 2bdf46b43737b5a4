"""``calibrations.json``: the maps of the MC that the networks of a run were trained behind."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ..records import Stored


class StoredCalibration(Stored):
    """A map of the MC that networks were trained behind, and what certifies it."""

    family: str
    verdict: Literal["closed", "partly closed", "not closed"]
    sentence: str
    map: dict[str, Any]  # of hepdann.calibration.Calibration


class Calibrations(Stored):
    """``calibrations.json``: by method, of each fold; of a run without folds once."""

    format_version: Literal[1]
    folds: Annotated[list[dict[str, StoredCalibration]], Field(min_length=1)]
