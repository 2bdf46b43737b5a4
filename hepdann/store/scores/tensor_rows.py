"""The way from the events of a run back to the tensor file that they were read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import HepdannError, RunError
from ...inputs import check, read_json
from ...tensors import Tensors, is_pseudo, open_tensors
from ...tensors.blocks import column_at
from ..content import Files
from ..paths import RunPaths

_MEND = "put that file back; what needs scores alone works without it"


@dataclass(frozen=True, eq=False)
class TensorRows:
    """Rows of a domain of a tensor file.

    Attributes:
        rows: (N,) increasing.
    """

    tensors: Tensors
    domain: str
    rows: NDArray[np.int64]

    def features(self) -> NDArray[np.float32]:
        """(N, F) features as the file holds them."""
        return column_at(self.tensors, self.domain, "features", self.rows)

    def entries(self) -> NDArray[np.integer] | None:
        """(N, 2) input file and row in it of each event; ``None`` where the file says none."""
        with self.tensors.read() as file:
            group = file[self.domain]
            return np.asarray(group["entry"][...])[self.rows] if "entry" in group else None


def rows_of_events(
    tensors: Tensors, domain: str, event_id: NDArray[np.uint64], *, pseudo: bool | None
) -> NDArray[np.int64] | None:
    """The rows of events that were chosen by their identity.

    Args:
        pseudo: the half of the domain that they are from; ``None`` if it is not halved.

    Returns:
        (N,) increasing; ``None`` if the file does not hold these events.
    """
    known, start, parts = np.unique(event_id), 0, [np.empty(0, np.int64)]
    for ids in tensors.tiles(domain, "event_id"):
        chosen = np.isin(ids, known)
        if pseudo is not None:
            chosen &= is_pseudo(ids, tensors.split_config.seed) == pseudo
        parts.append(start + np.flatnonzero(chosen))
        start += len(ids)
    rows = np.concatenate(parts)
    if len(rows) != len(event_id):
        return None
    return rows if _holds(tensors, domain, rows, event_id) else None


def _holds(
    tensors: Tensors, domain: str, rows: NDArray[np.int64], event_id: NDArray[np.uint64]
) -> bool:
    """Whether these rows, which increase, are those events."""
    if len(rows) and (rows[0] < 0 or rows[-1] >= tensors.rows(domain) or (np.diff(rows) < 1).any()):
        return False
    return np.array_equal(column_at(tensors, domain, "event_id", rows), event_id)


def tensor_rows(
    folder: Path,
    domain: str,
    event_id: NDArray[np.uint64],
    *,
    pseudo: bool | None,
    paths: Sequence[str] = (),
    rows: NDArray[np.int64] | None = None,
) -> TensorRows:
    """Where the events of a run stand in its tensor file.

    Raises:
        RunError: the file is gone, or holds something else by now.
    """
    record = RunPaths(folder).start_record
    start = check(read_json(record, Any), Files, record)
    second = domain == "data" and start.data is not None
    path = next((p for p in map(Path, paths) if p.exists()), _started_with(folder, start, domain))
    try:
        tensors = open_tensors(path)
        content = start.content and start.content[-1 if second else 0]
        changed = content is not None and tensors.content_id() != content
        if changed:
            rows = None
        elif rows is None:
            rows = rows_of_events(tensors, domain, event_id, pseudo=pseudo)
        elif not _holds(tensors, domain, rows, event_id):
            rows = None
    except HepdannError as error:
        what = f"the features of the run's events stand in it: {error.message}"
        raise RunError(what, where=path, mend=_MEND) from error
    if rows is None:
        what = "does not hold the events of this run any more: it was replaced or changed"
        raise RunError(what, where=path, mend=_MEND)
    return TensorRows(tensors, domain, rows)


def moved_to(folder: Path, tensors: Tensors, domain: str) -> Path | None:
    """Where a tensor file lies by now that a run did not find where it had begun with it."""
    record = RunPaths(folder).start_record
    if not record.exists():
        return tensors.path
    path = _started_with(folder, check(read_json(record, Any), Files, record), domain)
    return None if path.exists() and path.samefile(tensors.path) else tensors.path


def _started_with(folder: Path, start: Files, domain: str) -> Path:
    """Where the file is that the run began with: there, or in a folder that holds the run's."""
    path = Path(start.data if domain == "data" and start.data is not None else start.tensors)
    if path.exists() or path.is_absolute():
        return path
    places = (parent / path for parent in folder.resolve().parents)
    return next((place for place in places if place.exists()), path)
