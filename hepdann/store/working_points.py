"""The thresholds that were set for a run, ``working_points.json``, and the schemas of all files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ..records import Finite, HistoryRowOf, Number, Stored
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
from .paths import RunPaths
from .reading import read_versioned, write_json
from .training_record import StoredConversion, StoredStart


class StoredFigure(Stored):
    """A number with its error; ``None`` where it does not exist."""

    value: Number
    error: Number


class Efficiencies(Stored):
    """What passes a threshold, by class: the signal, and all others together."""

    signal: StoredFigure
    background: StoredFigure


class StoredPoint(Stored):
    """A working point of a method.

    ``target_threshold`` lets the share ``target_expected`` of the target pass, ``threshold`` lets
    ``target_passing`` of it pass; no label of the target is in any of them.
    """

    method: str
    signal: str
    efficiency: Finite = Field(gt=0, lt=1)
    threshold: StoredFigure
    mc: Efficiencies
    target_passing: StoredFigure
    target_expected: StoredFigure
    target_threshold: StoredFigure


class WorkingPoints(Stored):
    """``working_points.json``."""

    format_version: Literal[1] = 1
    points: list[StoredPoint]


def write_working_points(folder: str | Path, points: list[StoredPoint]) -> Path:
    """Write the working points of a run, in place of those that it has.

    Returns:
        The file.

    Raises:
        RunError: it cannot be written.
    """
    path = RunPaths(Path(folder)).working_points
    write_json(path, WorkingPoints, WorkingPoints(points=points).model_dump(mode="json"))
    return path


def read_working_points(folder: str | Path) -> list[StoredPoint]:
    """The working points that were set for a run; none if nobody set any.

    Raises:
        RunError: the file is damaged or of another version.
    """
    path = RunPaths(Path(folder)).working_points
    return read_versioned(path, WorkingPoints).points if path.exists() else []


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
