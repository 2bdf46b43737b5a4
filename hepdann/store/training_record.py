"""What a run knows of the files and events that it was trained on, so that others can be scored.

``conversion.json`` says how files became events and which values their features had in training,
``trained_events.npy`` which events these were.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..errors import HepdannError, RunError, SchemaError
from ..inputs import regular_file
from ..outputs import write_run_file
from ..readers.conversion_record import Conversion
from ..records import Count, Finite, Stored
from ..tensors import SPLITS, Tensors, open_tensors
from .paths import RunPaths
from .reading import FORMAT_VERSION, read_versioned, write_json
from .start_record import StartRecord

_ANEW = "train anew"


class StoredConversion(Stored):
    """``conversion.json``."""

    format_version: Literal[1]
    conversion: Conversion | None
    ranges: dict[str, Annotated[list[Finite], Field(min_length=2, max_length=2)]]
    events: Count


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """What a run was trained on.

    Attributes:
        conversion: how files became events; ``None`` where there were no files.
        ranges: smallest and largest value of each feature among the training events.
        events: (n,) uint64, increasing: the identity of each training event.
    """

    conversion: Conversion | None
    ranges: Mapping[str, tuple[float, float]]
    events: NDArray[np.uint64]

    @classmethod
    def of(cls, files: Sequence[Tensors | Path], *, pseudo: bool, folds: bool) -> Self:
        """Compose it of the tensor files of a run, in memory for the identities alone.

        Raises:
            SchemaError: a file cannot be read.
        """
        first, *others = [open_tensors(f.path if isinstance(f, Tensors) else f) for f in files]
        holder = others[0] if others else first
        trained = [(first, "mc"), *([] if pseudo else [(holder, "data")])]
        splits = [SPLITS.index(name) for name in (("train", "test") if folds else ("train",))]
        ids, low, high = [], np.full(len(first.features), np.inf), -np.inf
        for file, domain in trained:
            columns = (file.tiles(domain, name) for name in ("split", "event_id", "features"))
            for split, event_id, features in zip(*columns, strict=True):
                train = np.isin(split, splits)
                ids.append(event_id[train])
                values = features[train]
                low = np.minimum(low, np.nanmin(values, 0, initial=np.inf))
                high = np.maximum(high, np.nanmax(values, 0, initial=-np.inf))
        try:
            conversion = Conversion.of(first, holder if others else None)
        except SchemaError:  # made of arrays
            conversion = None
        known = zip(first.features, low.tolist(), np.broadcast_to(high, low.shape).tolist(),
                    strict=True)  # fmt: skip
        ranges = {name: (a, b) for name, a, b in known if a <= b}
        return cls(conversion, ranges, np.unique(np.concatenate(ids)))

    def write(self, folder: Path) -> None:
        """Keep it with a run."""
        image = io.BytesIO()
        np.save(image, self.events, allow_pickle=False)
        write_run_file(RunPaths(folder).trained_events, image.getbuffer())
        conversion = None if self.conversion is None else self.conversion.model_dump(mode="json")
        content = {
            "format_version": FORMAT_VERSION,
            "conversion": conversion,
            "ranges": {name: list(ends) for name, ends in self.ranges.items()},
            "events": len(self.events),
        }
        write_json(RunPaths(folder).conversion, StoredConversion, content)

    @classmethod
    def read(cls, folder: Path, tensors: Path | None = None) -> Self:
        """Of a run; one of an older version has it no further than its tensor file is there.

        Raises:
            RunError: missing, damaged, or not the tensor file that the run began with.
        """
        path = RunPaths(folder).conversion
        if not path.exists():
            return cls._of_older(folder, tensors)
        stored = read_versioned(path, StoredConversion)
        events = _read_events(RunPaths(folder).trained_events, stored.events)
        ranges = {name: (low, high) for name, (low, high) in stored.ranges.items()}
        return cls(stored.conversion, ranges, events)

    @classmethod
    def _of_older(cls, folder: Path, tensors: Path | None) -> Self:
        origin = StartRecord.read(folder)
        paths = [tensors or origin.tensors, *([origin.data] if origin.data is not None else [])]
        try:
            files = [open_tensors(path) for path in paths]
            origin.check_files(files)
            train = origin.config.train
            return cls.of(files, pseudo=train.shift is not None, folds=train.folds is not None)
        except HepdannError as error:
            raise RunError(
                "was trained by an older version and does not hold how its files were converted, "
                f"and its tensor file cannot say it: {error.message}",
                where=folder,
                mend=f"put {error.where or origin.tensors} back, name it with --tensors, or "
                "train anew",
            ) from error


def _read_events(path: Path, count: int) -> NDArray[np.uint64]:
    """The identities, left on disk."""
    regular_file(path, RunError)
    try:
        events = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"cannot be read ({error})", where=path, mend=_ANEW) from error
    if events.shape != (count,) or events.dtype != np.uint64 or (events[1:] <= events[:-1]).any():
        raise RunError("is damaged: no list of identities", where=path, mend=_ANEW)
    return np.asarray(events)
