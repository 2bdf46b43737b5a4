"""What the JSON and the tables of a run and of a scan hold."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..display import figure, html_table, listed
from ..errors import RunError
from ..inputs import check, read_json, read_rows
from ..outputs import write_run_file
from ..records import Stored
from .content import Metrics, ScanSummary
from .paths import Paths, RunPaths, ScanPaths, explain_absent, is_scan

if TYPE_CHECKING:
    from ..config import Config

FORMAT_VERSION = 1
Kind = TypeVar("Kind", bound=Stored)


def check_version(folder: str | Path) -> None:
    """Refuse a run that another version made; of what is no run nothing is said.

    Raises:
        RunError: ``metrics.json`` is damaged or of another version.
    """
    path = RunPaths(Path(folder)).metrics
    if path.exists():
        read_versioned(path, Stored)


def read_versioned(path: Path, kind: type[Kind]) -> Kind:
    """Read a JSON file of a run.

    Raises:
        RunError: it cannot be read, is damaged or of another version.
    """
    content = read_json(path, Any)
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise RunError(
            f"run of format version {version}, this hepdann reads {FORMAT_VERSION}",
            where=path,
            mend="read it with the hepdann that wrote it, or train anew",
        )
    return check(content, kind, path)


def read_metrics(folder: Path) -> Metrics:
    """The figures of a run.

    Raises:
        RunError: no such folder, no run, a scan, not finished, damaged or of another version.
    """
    path = RunPaths(folder).metrics
    if not path.exists():
        raise explain_absent(folder)
    return read_versioned(path, Metrics)


def write_json(path: Path, kind: type[Stored], content: Mapping[str, Any]) -> None:
    """Write a JSON file of a run.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    text = json.dumps(content, indent=1, allow_nan=False)
    kind.model_validate_json(text)
    write_run_file(path, text.encode())


def read_table(path: Path, text: Collection[str]) -> dict[str, NDArray[Any]]:
    """Columns of a CSV file of a run; an empty number is NaN.

    Raises:
        RunError: missing or damaged.
    """
    rows = read_rows(path, (), text)
    return {
        name: np.array([row[name] for row in rows])
        if name in text
        else np.array([float(row[name] or "nan") for row in rows])
        for name in (rows[0] if rows else {})
    }


def read_config(folder: Path) -> Config:
    """Every setting that a run or a scan was made with."""
    from ..config import load_config

    return load_config(Paths(folder).config, known_names=False)


def config_of(folder: Path) -> Config:
    """Likewise; the defaults of a folder that holds none."""
    from ..config import Config

    return read_config(folder) if Paths(folder).config.exists() else Config()


@dataclass(frozen=True, eq=False, repr=False)
class Scan:
    """A scan.

    Attributes:
        summary: what ``scan.json`` holds: ``groups`` (mean ± std of each method, λ, shift and t),
            ``choices`` (the λ that is chosen without labels).
    """

    folder: Path
    summary: dict[str, Any]

    def __repr__(self) -> str:
        groups = self.summary.get("groups", ())
        methods = listed(tuple(dict.fromkeys(str(group["method"]) for group in groups)))
        targets = listed(tuple(dict.fromkeys(map(_target, groups))))
        return f"<Scan {self.folder}: methods {methods}; targets {targets}>"

    def _repr_html_(self) -> str:
        chosen = {_place(one): one["lambda"] for one in self.summary.get("choices", ())}
        rows = [
            (
                str(group["method"]),
                "" if group["lambda"] is None else f"{group['lambda']:g}",
                _target(group),
                *(figure(of["mean"], of["std"]) for of in last),
            )
            for group in self.summary.get("groups", ())
            for last in [[group["last_epoch"][f"target_{key}"] for key in ("accuracy", "auc")]]
            if group["lambda"] == chosen.get(_place(group))
        ]
        head = ("method", "λ", "target", "target accuracy", "target AUC")
        return html_table(str(self.folder), head, rows)

    @cached_property
    def config(self) -> Config:
        """Every setting that was used."""
        return read_config(self.folder)

    @cached_property
    def table(self) -> dict[str, NDArray[Any]]:
        """Columns of ``scan.csv``, one row a member; empty fields are NaN, or the empty text."""
        return read_table(ScanPaths(self.folder).table, text=("method", "shift"))


def _target(group: Mapping[str, Any]) -> str:
    return "data" if group["shift"] is None else f"{group['shift']} t = {group['t']:g}"


def _place(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return entry["method"], entry["shift"], entry["t"]


def open_scan(folder: str | Path) -> Scan:
    """Open a scan.

    Raises:
        RunError: no such folder, no scan, nothing of it trained, damaged or of another version.
    """
    folder = Path(folder)
    path = ScanPaths(folder).summary
    if not path.exists():
        if is_scan(folder):
            raise explain_absent(folder)
        what = "not a scan: no scan.json" if folder.is_dir() else "no such folder"
        raise RunError(what, where=folder, mend="scans are made by hepdann scan")
    return Scan(folder, read_versioned(path, ScanSummary).to_json())


def csv_bytes(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A table; what is ``None`` is an empty field, and other keys are left out."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()
