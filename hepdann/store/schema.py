"""The JSON Schema of each file of a run and of a scan that is JSON, or a table of rows."""

from __future__ import annotations

from typing import Any

from ..records import HistoryRowOf, Stored
from .content import Diagnosed, HealthLooks, Metrics, Recommended, ScanSummary, StoredRocs
from .model_file import ModelHeader
from .start_record import StoredStart

__all__ = ["STORED", "file_schema"]

STORED: dict[str, type[Stored]] = {
    "metrics": Metrics,
    "history": HistoryRowOf,  # of a row, as a checkpoint keeps it
    "recommendation": Recommended,
    "diagnosis": Diagnosed,
    "health": HealthLooks,
    "origin": StoredStart,
    "model": ModelHeader,  # of its header
    "scan": ScanSummary,
    "rocs": StoredRocs,
}


def file_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a file.

    Args:
        name: a key of :data:`STORED`, which is the file's name without its ending.
    """
    return STORED[name].model_json_schema(by_alias=True)
