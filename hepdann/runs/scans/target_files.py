"""What a scan keeps of each target until it is summed up: alignments, baselines, stacks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...errors import RunError
from ...inputs import read_json
from ...outputs import write_run_file
from ...store.content import PointBaselines, PointResult
from ...store.paths import ScanPaths
from .grid import Unit

Result = dict[str, Any]
AGAIN = "remove it and resume"


def result_path(folder: Path, unit: Unit) -> Path:
    """Of the result of a unit."""
    what = "baselines" if unit.stack is None else f"stack-{unit.stack}"
    return target_path(folder, unit.target, what)


def target_path(folder: Path, target: int, what: str) -> Path:
    """Of what a scan keeps of a target."""
    return ScanPaths(folder).work / f"target-{target}-{what}.json"


def read_result(folder: Path, unit: Unit, fingerprint: str) -> Result:
    """The result of a unit.

    Raises:
        RunError: it is damaged, or that of another scan.
    """
    kind = PointBaselines if unit.stack is None else PointResult
    return read_target(result_path(folder, unit), kind, fingerprint)


def read_target(path: Path, kind: Any, fingerprint: str) -> Result:
    """A file of a target.

    Raises:
        RunError: it is damaged, or that of another scan.
    """
    result: Result = read_json(path, kind, mend=AGAIN)
    if result.get("fingerprint") != fingerprint:
        raise RunError(
            "the result belongs to other tensors or settings",
            where=path,
            mend="resume with those of the scan, or start a new one",
        )
    return result


def write_target(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file of a target, whole or not at all."""
    write_run_file(path, json.dumps(content, allow_nan=False).encode())


def results_of(folder: Path, units: Iterable[Unit], fingerprint: str) -> list[Result]:
    """The results that are there.

    Raises:
        RunError: one is damaged, or that of another scan.
    """
    whole = [unit for unit in units if result_path(folder, unit).exists()]
    return [read_result(folder, unit, fingerprint) for unit in whole]
