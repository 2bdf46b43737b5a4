"""Simulated events as files: ROOT trees with jagged hits, or HDF5 images of either schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ..trees import appear_together, new_tree
from .events import Domain, Events, blocks, join_events
from .hdf5 import ImageFile
from .shifts import Conditions, target
from .tracking import Track, find_tracks

__all__ = ["TREE", "write_minerva"]

TREE = "minerva"
_IDS = dict.fromkeys(("run", "subrun", "gate", "slice"), "i4")
_TRUTH = (
    dict.fromkeys(("planecode", "segment", "process", "target_z"), "i4")
    | dict.fromkeys(("vtx_x", "vtx_y", "vtx_z", "E", "W", "Q2", "x", "y"), "f4")
    | dict.fromkeys(("muon_E", "muon_angle"), "f4")
)
_SEEN = {"weight": "f4", "track_segment": "i4", "track_planecode": "i4", "track_z": "f4"}
_HITS = "{view: int32, plane: int32, strip: int32, energy: float32, time: float32}"
_BRANCHES: dict[str, dict[str, str]] = {
    "mc": _IDS | _TRUTH | _SEEN,
    "data": _IDS | _SEEN,
    "truth": _IDS | _TRUTH,
}
_TOGETHER = 4  # blocks of events appended at once

Columns = dict[str, NDArray[Any]]
Form = Literal["root", "hdf5"]
Schema = Literal["flat", "grouped"]


@dataclass(frozen=True)
class _Plan:
    """What is written, and how."""

    events: int
    seed: int
    conditions: Conditions
    image: str
    form: Form
    schema: Schema


def write_minerva(
    folder: str | Path,
    events: int = 40_000,
    seed: int = 0,
    truth: bool = False,
    *,
    conditions: Conditions | None = None,
    image: str = "127x50",
    form: Form = "root",
    schema: Schema = "flat",
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write MINERvA-like events as ``mc`` and ``data`` files, in constant memory.

    All files appear together when all are whole; earlier ones of these names are replaced then.

    Args:
        folder: made if it is not there.
        events: in each file.
        seed: the same seed writes the same values.
        truth: write the truth of the data as well, row by row.
        conditions: physics and detector of the data; by default what ``detector.yaml`` says of the
            target. The MC is always nominal.
        image: ``127x50`` or ``127x94``: how far the detector reaches.
        form: ``root``: tree ``minerva`` with jagged hits; ``hdf5``: images.
        schema: of HDF5: ``flat`` or ``grouped``.
        progress: called with the events written and to be written.

    Returns:
        The paths of the files.

    Raises:
        ConfigError: impossible settings, or a truth file of an earlier sample in the folder that
            would no longer belong to the data.
        OSError: the folder or a file cannot be written.
    """
    if form not in ("root", "hdf5") or schema not in ("flat", "grouped"):
        raise ConfigError(
            f"there is no form {form!r} with schema {schema!r}",
            where="form",
            mend="there is root, and hdf5 with the schema flat or grouped",
        )
    plan = _Plan(events, seed, conditions or target(), image, form, schema)
    suffix = {"root": "root", "hdf5": "h5"}[form]
    kinds = ("mc", "data", "truth") if truth else ("mc", "data")
    folder = Path(folder)
    if not truth and (folder / f"truth.{suffix}").exists():
        raise ConfigError(
            "is the truth of an earlier sample and would not fit the new data",
            where=folder / f"truth.{suffix}",
            mend="write the new truth as well (--truth), or remove the file",
        )
    paths = [folder / f"{kind}.{suffix}" for kind in kinds]
    next(blocks("mc", events, seed, image=image))  # impossible settings show before files are made
    done = 0

    def count(n: int) -> None:
        nonlocal done
        done += n
        if progress is not None:
            progress(done, 2 * events)

    with appear_together(paths) as drafts:
        of = dict(zip(kinds, drafts, strict=True))
        _write("mc", {"mc": of.pop("mc")}, plan, count)
        _write("data", of, plan, count)
    return paths


def _write(
    domain: Domain, paths: dict[str, Path], plan: _Plan, count: Callable[[int], None]
) -> None:
    conditions = plan.conditions if domain == "data" else None
    parts = blocks(domain, plan.events, plan.seed, conditions=conditions, image=plan.image)
    with ExitStack() as stack:
        files = {kind: _file(kind, path, plan, stack) for kind, path in paths.items()}
        for events, track in _tracked(parts):
            for append in files.values():
                append(events, track)
            count(len(events))


def _tracked(parts: Iterator[Events]) -> Iterator[tuple[Events, Track]]:
    """Several blocks at once, with what tracking makes of each."""
    batch: list[Events] = []
    for part in parts:
        batch.append(part)
        if len(batch) == _TOGETHER:
            yield _joined(batch)
            batch = []
    if batch:
        yield _joined(batch)


def _joined(batch: list[Events]) -> tuple[Events, Track]:
    tracks = [find_tracks(part) for part in batch]
    return join_events(batch), Track(
        *(
            np.concatenate([getattr(track, name) for track in tracks])
            for name in ("segment", "plane_code", "z", "length")
        )
    )


def _file(kind: str, path: Path, plan: _Plan, stack: ExitStack) -> Callable[[Events, Track], None]:
    """A function that appends events to a new file of that kind."""
    if plan.form == "hdf5":
        images = stack.enter_context(ImageFile(path, kind, plan.schema, plan.events, plan.image))
        return images.append
    jagged = {} if kind == "truth" else {"hit": _HITS}
    tree = stack.enter_context(new_tree(path, TREE, _BRANCHES[kind], jagged))

    def append(events: Events, track: Track) -> None:
        columns: dict[str, Any] = _scalars(events, track, _BRANCHES[kind])
        if jagged:
            columns["hit"] = _jagged(events)
        tree.extend(columns)

    return append


def _scalars(events: Events, track: Track, types: dict[str, str]) -> Columns:
    seen = {
        "track_segment": track.segment,
        "track_planecode": track.plane_code,
        "track_z": track.z,
    }
    columns = events.columns | seen
    return {name: columns[name].astype(type_) for name, type_ in types.items()}


def _jagged(events: Events) -> Any:
    import awkward as ak

    hits = events.hits
    fields = {
        "view": events.hit_view.astype("i4"),
        "plane": events.hit_column.astype("i4"),
        "strip": hits.strip.astype("i4"),
        "energy": hits.energy.astype("f4"),
        "time": hits.time.astype("f4"),
    }
    records = ak.zip(fields)
    return ak.unflatten(records, np.diff(events.offsets))
