"""A scan's folder, and the way back to it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..errors import RunError
from ..evaluation.absent import SCAN_SUMMARY, explain_absent, is_scan
from .folder import read_config, read_table, read_versioned

if TYPE_CHECKING:
    from ..config import Config

__all__ = ["Scan", "open_scan", "to_csv"]


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan.

    Attributes:
        folder: where it lies.
        summary: what ``scan.json`` holds: ``groups`` (mean ± std of each method, λ, shift and t),
            ``choices`` (the λ that is chosen without labels).
    """

    folder: Path
    summary: dict[str, Any] = field(repr=False)

    @cached_property
    def config(self) -> Config:
        """Every setting that was used."""
        return read_config(self.folder)

    @cached_property
    def table(self) -> dict[str, NDArray[Any]]:
        """Columns of ``scan.csv``, one row a member; empty fields are NaN, or the empty text."""
        return read_table(self.folder / "scan.csv", text=("method", "shift"))


def open_scan(folder: str | Path) -> Scan:
    """Open a scan.

    Raises:
        RunError: no such folder, no scan, nothing of it trained, damaged or of another version.
    """
    from ..content import ScanSummary

    folder = Path(folder)
    path = folder / SCAN_SUMMARY
    if not path.exists():
        if is_scan(folder):
            raise explain_absent(folder)
        what = "not a scan: no scan.json" if folder.is_dir() else "no such folder"
        raise RunError(what, where=folder, mend="scans are made by hepdann scan")
    return Scan(folder, read_versioned(path, ScanSummary))


def to_csv(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A table; what is ``None`` is an empty field, and other keys are left out."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()
