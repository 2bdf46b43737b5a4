"""A scan's folder, and the way back to it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..display import figure, html_table, listed
from ..errors import RunError
from .paths import ScanPaths
from .reading import read_config, read_table, read_versioned
from .state import explain_absent, is_scan

if TYPE_CHECKING:
    from ..config import Config


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
                *(_spread(group["last_epoch"][f"target_{key}"]) for key in ("accuracy", "auc")),
            )
            for group in self.summary.get("groups", ())
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


def _spread(block: Mapping[str, Any]) -> str:
    """Mean ± std over the seeds."""
    return figure(block["mean"], block["std"])


def open_scan(folder: str | Path) -> Scan:
    """Open a scan.

    Raises:
        RunError: no such folder, no scan, nothing of it trained, damaged or of another version.
    """
    from .content import ScanSummary

    folder = Path(folder)
    path = ScanPaths(folder).summary
    if not path.exists():
        if is_scan(folder):
            raise explain_absent(folder)
        what = "not a scan: no scan.json" if folder.is_dir() else "no such folder"
        raise RunError(what, where=folder, mend="scans are made by hepdann scan")
    return Scan(folder, read_versioned(path, ScanSummary).to_json())


def to_csv(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A table; what is ``None`` is an empty field, and other keys are left out."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()
