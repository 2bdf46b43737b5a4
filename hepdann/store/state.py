"""Why a folder holds no results of a run: it is a scan, still training, interrupted or no run."""

from __future__ import annotations

import fcntl
from pathlib import Path

from ..errors import HepdannError, RunError
from .paths import RunPaths, ScanPaths


def is_scan(folder: str | Path) -> bool:
    """Whether a folder holds a scan, finished or not."""
    folder = Path(folder)
    return ScanPaths(folder).summary.is_file() or ScanPaths(folder).work.is_dir()


def is_training(folder: str | Path) -> bool:
    """Whether a process trains in a folder; ``False`` where the file system has no locks."""
    path = RunPaths(Path(folder)).log
    if not path.is_file():  # to open a pipe would wait for ever
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def explain_absent(folder: str | Path) -> RunError:
    """The error that says why a folder holds no results, and what to type instead."""
    folder = Path(folder)
    if not folder.is_dir():
        return RunError("no such run folder", where=folder, mend="see what is in runs/")
    scan = is_scan(folder)
    command, noun = ("scan", "scan") if scan else ("train", "training")
    if ScanPaths(folder).summary.is_file():
        return RunError(
            "is a scan, not a run",
            where=folder,
            mend=f"its table: hepdann evaluate {folder}; its figures: hepdann plot {folder}",
        )
    if not scan and not RunPaths(folder).start_record.is_file():
        return RunError(
            "not a run folder: no metrics.json", where=folder, mend="runs are made by hepdann train"
        )
    if is_training(folder):
        progress = "" if scan else f" ({_progress(folder)})"
        return RunError(
            f"the {noun} is still going on{progress}", where=folder, mend="wait until it has ended"
        )
    mend = f"go on with: hepdann {command} --resume -o {folder}"
    return RunError(f"the {noun} has not finished", where=folder, mend=mend)


def _progress(folder: Path) -> str:
    """How far a training was at its last checkpoint."""
    from safetensors import SafetensorError, safe_open

    from ..config import load_config

    checkpoints = list(RunPaths(folder).checkpoints.glob("stack-*.safetensors"))
    try:
        last = max(checkpoints, key=lambda path: path.stat().st_mtime)
        with safe_open(last, framework="numpy") as file:
            epoch = int((file.metadata() or {})["epoch"])
        epochs = load_config(RunPaths(folder).config, expand=False, known_names=False).train.epochs
    except (ValueError, KeyError, OSError, SafetensorError, HepdannError):
        return "before its first checkpoint"
    return f"epoch {epoch} of {epochs} at its last checkpoint"
