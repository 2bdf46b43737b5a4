"""``metrics.json``: every figure of a run."""

from __future__ import annotations

from pathlib import Path

from .content import Metrics
from .paths import RunPaths
from .reading import read_versioned
from .state import explain_absent


def read_metrics(folder: Path) -> Metrics:
    """The figures of a run.

    Raises:
        RunError: no such folder, no run, a scan, not finished, damaged or of another version.
    """
    path = RunPaths(folder).metrics
    if not path.exists():
        raise explain_absent(folder)
    return read_versioned(path, Metrics)
