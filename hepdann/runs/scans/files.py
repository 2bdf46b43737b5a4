"""The files of a scan: what it keeps of each target, and those in which it is summed up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..._version import __version__
from ...errors import RunError
from ...evaluation.scan_judge import MEMBER_FIGURES, summarise_scan
from ...inputs import read_json
from ...outputs import write_run_file
from ...store.content import PointBaselines, PointResult
from ...store.paths import ScanPaths
from ...store.reading import FORMAT_VERSION, Scan, csv_bytes
from ...tensors import Tensors
from ..stacks.training import HISTORY
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


COLUMNS = (
    "method", "lambda", "shift", "t", "seed", "epoch", *MEMBER_FIGURES, "loss_label", "loss_domain",
    "validation_loss", "validation_accuracy", "validation_domain_accuracy",
)  # fmt: skip
HISTORY_COLUMNS = ("shift", "t", *(name for name in HISTORY if name != "target_accuracy"))


def write_scan(
    folder: Path,
    tensors: Tensors,
    results: Sequence[Result],
    source_history: Sequence[Mapping[str, object]],
    *,
    members: int,
    seconds: float,
    whole: bool,
) -> Scan:
    """Sum up what is whole of a scan."""
    rows = [row for result in results for row in result["rows"]]
    groups = [group for result in results for group in result["groups"]]
    first = [dict(row) | {"lambda": None} for row in source_history]
    history = [*first, *(row for result in results for row in result["history"])]
    majorities = {
        (row["shift"], row["t"]): result["majority"] for result in results for row in result["rows"]
    }
    paths = ScanPaths(folder)
    write_run_file(paths.table, csv_bytes(COLUMNS, rows))
    write_run_file(paths.history, csv_bytes(HISTORY_COLUMNS, history))
    places = ("method", "lambda", "shift", "t", "roc")
    curves = [{name: one[name] for name in places} for one in groups if one["roc"] is not None]
    rocs = {"format_version": FORMAT_VERSION, "rocs": curves}
    write_run_file(paths.rocs, json.dumps(rocs, allow_nan=False).encode())
    summary = {
        "format_version": FORMAT_VERSION,
        "hepdann": __version__,
        "classes": list(tensors.classes),
        "class_titles": tensors.class_looks("title"),
        "teachers": [r["teacher"] for r in results if "teacher" in r],
        **{
            name: [r.get(name) for r in results if "teacher" in r]
            for name in ("diagnosis", "fractions")
        },
        **summarise_scan(rows, groups, majorities),
        "health": [one for result in results for one in result.get("health", [])],
        "throughput": {"members": members, "seconds": seconds},
        "interrupted": not whole,
    }
    content = json.dumps(summary, indent=1, allow_nan=False)
    write_run_file(paths.summary, content.encode())
    return Scan(folder, summary)
