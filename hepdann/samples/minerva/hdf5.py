"""Simulated events as images in HDF5, in the two schemas of the collaboration's own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .events import Events
from .geometry import VIEWS, geometry

if TYPE_CHECKING:
    from .tracking import Track

__all__ = ["ImageFile", "event_ids", "rasterised"]

_CHUNK = 64  # images
_AT_ONCE = 8 * _CHUNK  # images held in memory
_GENERATED = {
    "E": "E", "leptE": "muon_E", "Q2": "Q2", "W": "W", "x": "x", "y": "y",
    "int_type": "process", "targetZ": "target_z",
}  # fmt: skip


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


class ImageFile:
    """Writes events to an HDF5 file, block by block.

    Args:
        path: file to create.
        kind: ``mc``; ``data``, which has no truth; or ``truth``, which has no images.
        schema: ``flat`` or ``grouped``.
        events: how many will come.
        image: size of the images.
    """

    def __init__(self, path: Path, kind: str, schema: str, events: int, image: str) -> None:
        import h5py

        self._file = h5py.File(path, "w")
        self._kind, self._flat, self._done = kind, schema == "flat", 0
        self._events, self._geometry = events, geometry(image)

    def __enter__(self) -> ImageFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, events: Events, track: Track) -> None:
        """Append events; tracking has no place in these schemas but in fields of its own."""
        rows = slice(self._done, self._done + len(events))
        for name, values in self._tables(events, track):
            self._dataset(name, values)[rows] = values
        if self._kind != "truth":
            for start in range(0, len(events), _AT_ONCE):
                self._append_images(events[start : start + _AT_ONCE], rows.start + start)
        self._done += len(events)

    def _append_images(self, events: Events, start: int) -> None:
        for number, view in enumerate(VIEWS):
            images = rasterised(events, number)
            for name, part in self._images(view, images):
                self._dataset(name, part, images=True)[start : start + len(events)] = part

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
