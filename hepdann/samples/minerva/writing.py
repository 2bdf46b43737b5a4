"""Tracks found in hits, and events as a ROOT tree or as the HDF5 of the collaboration.

A vertex comes from tracks alone. In each view the straight line that the most planes agree on is
found by a Hough transform of the clusters, fitted, and followed upstream as long as hits lie on it;
the vertex is put where the earliest of the three lines begins. That is the idea of the track-based
vertex that MINERvA had before its networks, and no more: no kinks, no energies, no second track.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ..files import Columns, Domain, new_arrays, sample_paths, write_files, write_trees
from .events import SimulatedEvents, blocks, join_events
from .geometry import VIEWS, Conditions, Geometry, segment_of, settings, target
from .kinematics import RowTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_SLOPES = np.arange(-16, 17) * 0.03  # du/dz: 26 degrees either way
_BIN = 2  # strips
_ROADS = (3.0, 1.5)  # strips: what a line is fitted to, first and then
_ROAD = 1.0  # what lies on it in the end
_GAP = 2  # planes of a view that a line may miss in a row
_LEAST = 4  # planes of a view that make a line
TREE = "minerva"
_IDS = dict.fromkeys(("run", "subrun", "gate", "slice"), "i4")
_TRUTH = (
    dict.fromkeys(("planecode", "segment", "process", "target_z"), "i4")
    | dict.fromkeys(("vtx_x", "vtx_y", "vtx_z", "E", "W", "Q2", "x", "y"), "f4")
    | dict.fromkeys(("muon_E", "muon_angle"), "f4")
)
_TRACK = {"weight": "f4", "track_segment": "i4", "track_planecode": "i4", "track_z": "f4"}
_HITS = {"hit": "{view: int32, plane: int32, strip: int32, energy: float32, time: float32}"}
_BRANCHES: dict[str, dict[str, str]] = {
    "mc": _IDS | _TRUTH | _TRACK,
    "data": _IDS | _TRACK,
    "truth": _IDS | _TRUTH,
}
_TOGETHER = 4  # blocks of events appended at once
_AT_ONCE = 512  # images held in memory
_GENERATED = {
    "E": "E", "leptE": "muon_E", "Q2": "Q2", "W": "W", "x": "x", "y": "y",
    "int_type": "process", "targetZ": "target_z",
}  # fmt: skip
Form = Literal["root", "hdf5"]


@dataclass(frozen=True, eq=False)
class Track(RowTable):
    """What tracking makes of n events.

    Attributes:
        segment: segment of the vertex, -1 where there is no line.
        plane_code: its plane code, 0 where there is no line.
        z: of the vertex, mm; nan where there is no line.
        length: planes on the longest line.
    """

    segment: Ints
    plane_code: Ints
    z: Floats
    length: Ints


@dataclass(frozen=True, eq=False)
class _Clusters:
    """Adjacent hits of a plane: event, column in its view, z, energy-weighted strip."""

    event: Ints
    column: Ints
    z: Floats
    place: Floats


def find_tracks(events: SimulatedEvents) -> Track:
    """Find the vertex of each event from its hits alone; the truth is not read."""
    geometry, n = events.geometry, len(events)
    first = np.full((3, n), geometry.planes)
    length = np.zeros((3, n), dtype=np.int64)
    for view in range(3):
        planes = np.flatnonzero(geometry.view == view)
        start, length[view] = _lines(events, _clusters(events, view), planes)
        long = length[view] >= _LEAST
        first[view, long] = planes[start[long]]
    plane = first.min(axis=0)
    return _vertices(geometry, plane, length.max(axis=0))


def _clusters(events: SimulatedEvents, view: int) -> _Clusters:
    rows = np.flatnonzero(events.hit_view == view)
    hits, geometry = events.hits, events.geometry
    event, plane, strip = hits.event[rows], hits.plane[rows], hits.strip[rows]
    energy = hits.energy[rows]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (np.diff(event) != 0) | (np.diff(plane) != 0) | (np.diff(strip) > 1)
    starts = np.flatnonzero(new)
    if not len(starts):
        return _Clusters(event, plane, np.zeros(0), np.zeros(0))
    place = np.add.reduceat(energy * strip, starts) / np.add.reduceat(energy, starts)
    plane = plane[starts]
    return _Clusters(event[starts], geometry.column[plane], geometry.middle[plane], place)


def _lines(events: SimulatedEvents, clusters: _Clusters, planes: Ints) -> tuple[Ints, Ints]:
    """First column and number of columns of the longest line of a view in each event."""
    n, pitch = len(events), settings().geometry.strip_pitch
    middle = events.geometry.middle[planes]
    z = (clusters.z - (middle[0] + middle[-1]) / 2) / pitch  # in strips, from the middle
    intercept, slope = _hough(n, clusters, z)
    for road in _ROADS:
        on = np.abs(clusters.place - intercept[clusters.event] - slope[clusters.event] * z) < road
        intercept, slope = _fit(n, clusters, z, on, intercept, slope)
    on = np.abs(clusters.place - intercept[clusters.event] - slope[clusters.event] * z) < _ROAD
    crossed = np.zeros((n, len(planes)), dtype=bool)
    crossed[clusters.event[on], clusters.column[on]] = True
    return _longest_run(crossed)


def _hough(n: int, clusters: _Clusters, z: Floats) -> tuple[Floats, Floats]:
    """The line (strip in the middle, slope) that most clusters of each event lie on."""
    reach = (settings().geometry.strips - 1) / 2
    margin = float(np.abs(z).max(initial=0) * _SLOPES[-1])
    bins = int((2 * (reach + margin)) // _BIN) + 2
    shape = (n, len(_SLOPES), bins)
    cell = ((clusters.place + margin)[:, None] - z[:, None] * _SLOPES.astype(np.float32)) / _BIN
    index = cell.astype(np.int32)
    index += (clusters.event[:, None] * len(_SLOPES) + np.arange(len(_SLOPES))) * bins
    votes = np.bincount(index.ravel(), minlength=n * len(_SLOPES) * bins)
    votes[1:] += votes[:-1].copy()  # a line may fall between two bins
    best = votes.reshape(n, -1).argmax(axis=1)
    slope, first = np.unravel_index(best, shape[1:])
    return np.asarray(first * _BIN - margin), np.asarray(_SLOPES[slope])


def _fit(
    n: int, clusters: _Clusters, z: Floats, on: Bools, intercept: Floats, slope: Floats
) -> tuple[Floats, Floats]:
    """Least squares through the clusters on each line; the old line where they are too few."""
    event, x, y = clusters.event[on], z[on], clusters.place[on]

    def total(values: Floats) -> Floats:
        return np.asarray(np.bincount(event, weights=values, minlength=n), dtype=np.float64)

    count, sx, sy = total(np.ones_like(x)), total(x), total(y)
    sxx, sxy = total(x * x), total(x * y)
    spread = count * sxx - sx**2
    good = (count >= 3) & (spread > 1e-6)
    safe = np.where(good, spread, 1)
    new = (count * sxy - sx * sy) / safe
    start = (sy - new * sx) / np.maximum(count, 1)
    return np.where(good, start, intercept), np.where(good, new, slope)


def _longest_run(crossed: Bools) -> tuple[Ints, Ints]:
    """First column and number of crossed columns of the longest run with small gaps."""
    n, columns = crossed.shape
    start, count, missed = (np.zeros(n, dtype=np.int64) for _ in range(3))
    best_start, best = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for column in range(columns):
        hit = crossed[:, column]
        missed = np.where(hit, 0, missed + 1)
        broken = missed > _GAP
        start = np.where(hit & (count == 0), column, start)
        count = np.where(broken, 0, count + hit)
        longer = count > best
        best = np.where(longer, count, best)
        best_start = np.where(longer, start, best_start)
    return best_start, best


def _vertices(geometry: Geometry, plane: Ints, length: Ints) -> Track:
    """Put the vertex in the plane a line begins in, or in the target right before that plane."""
    with_line = plane < geometry.planes
    slab = np.flatnonzero(geometry.plane >= 0)[np.where(with_line, plane, 0)]
    targets = (geometry.code > 0) & (geometry.plane < 0)
    before = np.maximum(slab[:, None] - np.array([1, 2]), 0)  # air may lie between
    near = targets[before] & (geometry.code[before] == geometry.code[slab][:, None] - 1)
    slab = np.where(near.any(axis=1), np.where(near[:, 0], before[:, 0], before[:, 1]), slab)
    code = np.where(with_line, geometry.code[slab], 0)
    middle = (geometry.edges[slab] + geometry.edges[slab + 1]) / 2
    return Track(
        segment=np.where(with_line, segment_of(code), -1),
        plane_code=code,
        z=np.where(with_line, middle, np.nan),
        length=length,
    )


_Tracked = tuple[SimulatedEvents, Track]


def write_minerva(
    folder: str | Path,
    events: int = 40_000,
    seed: int = 0,
    truth: bool = False,
    *,
    conditions: Conditions | None = None,
    image: str = "127x50",
    form: Form = "root",
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write MINERvA-like events; see :func:`hepdann.samples.write`.

    ``conditions`` are physics and detector of the data, by default what ``detector.yaml`` says of
    the target; the MC is always nominal. ``image`` is ``127x50`` or ``127x94``, how far the
    detector reaches; ``root`` files hold a tree ``minerva`` with jagged hits, ``hdf5`` images.
    """
    if form not in ("root", "hdf5"):
        raise ConfigError(f"there is no form {form!r}", where="form", mend="there is root and hdf5")
    next(blocks("mc", events, seed, image=image))  # impossible settings show before files are made
    of_domain = {"mc": None, "data": conditions or target()}

    def tracked(domain: Domain) -> Iterator[tuple[_Tracked, int]]:
        parts = blocks(domain, events, seed, conditions=of_domain[domain], image=image)
        for batch in iter(lambda: list(islice(parts, _TOGETHER)), []):
            joined = join_events(batch)
            yield (joined, Track.join([find_tracks(part) for part in batch])), len(joined)

    if form == "root":

        def of_tree(domain: Domain) -> Iterator[tuple[dict[str, Any], int]]:
            return ((_columns(*block), count) for block, count in tracked(domain))

        return write_trees(
            folder, TREE, _BRANCHES, of_tree, progress, events, truth=truth, records=_HITS
        )
    paths = sample_paths(folder, "h5", truth)
    return write_files(paths, tracked, _new_images, progress, 2 * events)


def _columns(events: SimulatedEvents, track: Track) -> dict[str, Any]:
    """All that trees hold of some events."""
    import awkward as ak

    hits = events.hits
    fields = {
        "view": events.hit_view.astype("i4"),
        "plane": events.hit_column.astype("i4"),
        "strip": hits.strip.astype("i4"),
        "energy": hits.energy.astype("f4"),
        "time": hits.time.astype("f4"),
    }
    return events.columns | {
        "track_segment": track.segment,
        "track_planecode": track.plane_code,
        "track_z": track.z,
        "hit": ak.unflatten(ak.zip(fields), np.diff(events.offsets)),
    }


def event_numbers(columns: dict[str, NDArray[Any]]) -> NDArray[np.uint64]:
    """Event numbers as one integer: run, then subrun and gate of four digits, slice of two."""
    run, subrun, gate, number = (
        columns[name].astype(np.uint64) for name in ("run", "subrun", "gate", "slice")
    )
    digits = np.uint64(10_000)
    return ((run * digits + subrun) * digits + gate) * np.uint64(100) + number


def rasterised(events: SimulatedEvents, view: int) -> NDArray[np.float32]:
    """Images of a view.

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


@contextmanager
def _new_images(kind: str, path: Path) -> Iterator[Callable[[_Tracked], None]]:
    """Create a file of images and tables; of the truth there are tables alone."""
    with new_arrays(path) as append:

        def add(block: _Tracked) -> None:
            events, track = block
            append(_tables(events, track, kind))
            for start in range(0, len(events) if kind != "truth" else 0, _AT_ONCE):
                part = events[start : start + _AT_ONCE]
                for number, view in enumerate(VIEWS):
                    images = rasterised(part, number)
                    append({f"hits-{view}": images[:, :1], f"times-{view}": images[:, 1:]})

        yield add


def _tables(events: SimulatedEvents, track: Track, kind: str) -> Columns:
    """What there is once an event, by the names of the collaboration."""
    columns = events.columns
    tables: Columns = {"eventids": event_numbers(columns)}
    if kind != "data":
        tables |= {
            "planecodes": columns["planecode"].astype("u2"),
            "segments": columns["segment"].astype("u1"),
            "zs": columns["vtx_z"].astype("f4"),
        }
        for name, column in _GENERATED.items():
            values = columns[column]
            tables[name] = values.astype("i4" if values.dtype.kind == "i" else "f4")
    if kind != "truth":  # fields that the collaboration's files do not have
        tables |= {
            "track_segments": track.segment.astype("i2"),
            "track_planecodes": track.plane_code.astype("u2"),
            "track_zs": track.z.astype("f4"),
        }
    return tables
