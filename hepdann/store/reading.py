"""What the files of a run have in common: versions, types, tables and settings."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..inputs import check, read_json, read_rows
from ..outputs import write_run_file
from ..records import Stored
from .content import Metrics
from .paths import Paths, RunPaths
from .state import explain_absent

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


def read_history(path: Path) -> dict[str, NDArray[Any]]:
    """Read a history.

    Raises:
        RunError: missing or damaged.
    """
    return read_table(path, text=("method", "chosen"))


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

    return load_config(Paths(folder).config, expand=False, known_names=False)
