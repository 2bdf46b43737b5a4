"""Simulated events as files: ROOT trees with jagged hits, or HDF5 images of either schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ..files import Domain, new_tree, sample_paths, write_files
from .events import Events, blocks, join_events
from .geometry import VIEWS
from .settings import Conditions, target
from .tracking import Track, find_tracks

TREE = "minerva"
_IDS = dict.fromkeys(("run", "subrun", "gate", "slice"), "i4")
_TRUTH = (
    dict.fromkeys(("planecode", "segment", "process", "target_z"), "i4")
    | dict.fromkeys(("vtx_x", "vtx_y", "vtx_z", "E", "W", "Q2", "x", "y"), "f4")
    | dict.fromkeys(("muon_E", "muon_angle"), "f4")
)
_TRACK = {"weight": "f4", "track_segment": "i4", "track_planecode": "i4", "track_z": "f4"}
_HITS = "{view: int32, plane: int32, strip: int32, energy: float32, time: float32}"
_BRANCHES: dict[str, dict[str, str]] = {
    "mc": _IDS | _TRUTH | _TRACK,
    "data": _IDS | _TRACK,
    "truth": _IDS | _TRUTH,
}
_TOGETHER = 4  # blocks of events appended at once
_CHUNK = 64  # images
_AT_ONCE = 8 * _CHUNK  # images held in memory
_GENERATED = {
    "E": "E", "leptE": "muon_E", "Q2": "Q2", "W": "W", "x": "x", "y": "y",
    "int_type": "process", "targetZ": "target_z",
}  # fmt: skip

Columns = dict[str, NDArray[Any]]
Form = Literal["root", "hdf5"]
Schema = Literal["flat", "grouped"]
_Tracked = tuple[Events, Track]


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
    """Write MINERvA-like events; see :func:`hepdann.samples.write`.

    Args:
        folder: for the files.
        events: in each file.
        seed: the same seed writes the same values.
        truth: write the truth of the data as well, row by row.
        conditions: physics and detector of the data; by default what ``detector.yaml`` says of the
            target. The MC is always nominal.
        image: ``127x50`` or ``127x94``: how far the detector reaches.
        form: ``root``: tree ``minerva`` with jagged hits; ``hdf5``: images.
        schema: of HDF5: ``flat`` or ``grouped``.
        progress: called with the events written and to be written.
    """
    if form not in ("root", "hdf5") or schema not in ("flat", "grouped"):
        raise ConfigError(
            f"there is no form {form!r} with schema {schema!r}",
            where="form",
            mend="there is root, and hdf5 with the schema flat or grouped",
        )
    suffix = {"root": "root", "hdf5": "h5"}[form]
    paths = sample_paths(folder, suffix, truth)
    next(blocks("mc", events, seed, image=image))  # impossible settings show before files are made
    of_domain = {"mc": None, "data": conditions or target()}

    def tracked(domain: Domain) -> Iterator[tuple[_Tracked, int]]:
        parts = blocks(domain, events, seed, conditions=of_domain[domain], image=image)
        for batch in iter(lambda: list(islice(parts, _TOGETHER)), []):
            joined = join_events(batch)
            yield (joined, Track.join([find_tracks(part) for part in batch])), len(joined)

    new_file = _new_tree if form == "root" else partial(_new_images, schema=schema, events=events)
    return write_files(paths, tracked, new_file, progress, 2 * events)


@contextmanager
def _new_images(
    kind: str, path: Path, *, schema: Schema, events: int
) -> Iterator[Callable[[_Tracked], None]]:
    import h5py

    with h5py.File(path, "w") as file:
        yield _Images(file, kind, schema, events).append


@contextmanager
def _new_tree(kind: str, path: Path) -> Iterator[Callable[[_Tracked], None]]:
    jagged = {} if kind == "truth" else {"hit": _HITS}
    with new_tree(path, TREE, _BRANCHES[kind], jagged) as tree:

        def append(block: _Tracked) -> None:
            events, track = block
            vertex = {
                "track_segment": track.segment,
                "track_planecode": track.plane_code,
                "track_z": track.z,
            }
            scalars = events.columns | vertex
            columns: Columns = {n: scalars[n].astype(t) for n, t in _BRANCHES[kind].items()}
            if jagged:
                columns["hit"] = _jagged(events)
            tree.extend(columns)

        yield append


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


def event_ids(columns: dict[str, NDArray[Any]]) -> NDArray[np.uint64]:
    """Event numbers as one integer: run, then subrun and gate of four digits, slice of two."""
    run, subrun, gate, number = (
        columns[name].astype(np.uint64) for name in ("run", "subrun", "gate", "slice")
    )
    digits = np.uint64(10_000)
    return ((run * digits + subrun) * digits + gate) * np.uint64(100) + number


def rasterised(events: Events, view: int) -> NDArray[np.float32]:
    """Images of a view.

    Args:
        events: n events.
        view: 0 X, 1 U, 2 V.

    Returns:
        Energy in MeV and time in ns, (n, 2, strips, columns) float32; 0 where there is no hit.
    """
    strips, columns = events.geometry.image_shape(view)
    images = np.zeros((len(events), 2, strips, columns), dtype=np.float32)
    rows = np.flatnonzero(events.hit_view == view)
    hits, column = events.hits, events.hit_column[rows]
    where = hits.event[rows], slice(None), hits.strip[rows], column
    images[where] = np.stack([hits.energy[rows], hits.time[rows]], axis=1)
    return images


class _Images:
    """Writes events to an open HDF5 file, block by block."""

    def __init__(self, file: Any, kind: str, schema: Schema, events: int) -> None:
        self._file, self._kind, self._events = file, kind, events
        self._flat, self._done = schema == "flat", 0

    def append(self, block: _Tracked) -> None:
        """Append events; what tracking makes of them has fields that the schemas do not know."""
        events, track = block
        rows = slice(self._done, self._done + len(events))
        for name, values in self._tables(events, track):
            self._dataset(name, values)[rows] = values
        if self._kind != "truth":
            for start in range(0, len(events), _AT_ONCE):
                part = events[start : start + _AT_ONCE]
                place = slice(rows.start + start, rows.start + start + len(part))
                for number, view in enumerate(VIEWS):
                    for name, images in self._images(view, rasterised(part, number)):
                        self._dataset(name, images, images=True)[place] = images
        self._done += len(events)

    def _dataset(self, name: str, values: NDArray[Any], *, images: bool = False) -> Any:
        if name in self._file:
            return self._file[name]
        options: dict[str, Any] = {}
        if images:  # mostly zeros: without shuffle, gzip finds the long runs
            chunk = (min(_CHUNK, self._events), *values.shape[1:])
            options = {"chunks": chunk, "compression": "gzip", "compression_opts": 1}
        shape = (self._events, *values.shape[1:])
        return self._file.create_dataset(name, shape, values.dtype, **options)

    def _images(
        self, view: str, images: NDArray[np.float32]
    ) -> list[tuple[str, NDArray[np.float32]]]:
        if not self._flat:
            return [(f"img_data/hitimes-{view}", images)]
        return [(f"hits-{view}", images[:, :1]), (f"times-{view}", images[:, 1:])]

    def _tables(self, events: Events, track: Track) -> list[tuple[str, NDArray[Any]]]:
        columns = events.columns
        tables: list[tuple[str, NDArray[Any]]] = [
            (self._name("event_data", "eventids"), event_ids(columns))
        ]
        if self._kind != "data":
            tables += [
                (self._name("vtx_data", "planecodes"), columns["planecode"].astype("u2")),
                (self._name("vtx_data", "segments"), columns["segment"].astype("u1")),
                (self._name("vtx_data", "zs"), columns["vtx_z"].astype("f4")),
            ]
            for name, column in _GENERATED.items():
                kind = "i4" if columns[column].dtype.kind == "i" else "f4"
                tables.append((self._name("gen_data", name), columns[column].astype(kind)))
        if self._kind != "truth":
            tables += [
                (self._name("track_data", "track_segments"), track.segment.astype("i2")),
                (self._name("track_data", "track_planecodes"), track.plane_code.astype("u2")),
                (self._name("track_data", "track_zs"), track.z.astype("f4")),
            ]
        return tables

    def _name(self, group: str, name: str) -> str:
        return name if self._flat else f"{group}/{name}"
