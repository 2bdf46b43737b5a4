"""Which version made a file, from which inputs, with which settings."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ._version import __version__

_CHUNK = 1 << 20


def describe_file(path: str | Path, *, sha256: bool = True) -> dict[str, Any]:
    """Identify an input file: ``{"path", "size", "modified", "sha256"}``, of a remote one the path.

    ``modified`` is the time of the last change; without ``sha256``, for which all of it is read,
    that is ``None``.
    """
    text = str(path)
    if "://" in text:
        return {"path": text, "size": None, "modified": None, "sha256": None}
    digest = hashlib.sha256() if sha256 else None
    with Path(text).open("rb") as file:
        status = os.fstat(file.fileno())
        while digest is not None and (chunk := file.read(_CHUNK)):
            digest.update(chunk)
    changed = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
    return {
        "path": text,
        "size": status.st_size,
        "modified": changed,
        "sha256": None if digest is None else digest.hexdigest(),
    }


def provenance(
    inputs: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], **extra: Any
) -> dict[str, Any]:
    """What is stored with every file that hepdann makes, for JSON.

    The inputs are a :func:`describe_file` each, the settings every value that was used; further
    entries are, for example, the files that were skipped.
    """
    return {
        "hepdann": __version__,
        "python": platform.python_version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [dict(entry) for entry in inputs],
        "settings": dict(settings),
        **extra,
    }
