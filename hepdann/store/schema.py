"""The JSON Schema of each file of a run and of a scan that is JSON, or a table of rows."""

from __future__ import annotations

from typing import Any

from ..records import HistoryRowOf, Stored
from .content import (
    Calibrations,
    Diagnosed,
    HealthLooks,
    Metrics,
    Recommended,
    ScanSummary,
    StoredRocs,
)
from .model_file import ModelHeader
from .start_record import StoredStart
from .training_record import StoredConversion
from .working_points import WorkingPoints

STORED: dict[str, type[Stored]] = {
    "metrics": Metrics,
    "history": HistoryRowOf,  # of a row, as a checkpoint keeps it
    "recommendation": Recommended,
    "diagnosis": Diagnosed,
    "calibrations": Calibrations,
    "health": HealthLooks,
    "working_points": WorkingPoints,
    "origin": StoredStart,
    "conversion": StoredConversion,
    "model": ModelHeader,  # of its header
    "scan": ScanSummary,
    "rocs": StoredRocs,
}


def file_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a file."""
    return STORED[name].model_json_schema(by_alias=True)
