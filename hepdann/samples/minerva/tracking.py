"""A vertex from tracks alone: the earliest plane of the longest straight lines.

In each view the straight line that the most planes agree on is found by a Hough transform of the
clusters, fitted, and followed upstream as long as hits lie on it. The vertex is put where the
earliest of the three lines begins. That is the idea of the track-based vertex that MINERvA had
before its networks, and no more: no kinks, no energies, no second track. Hits of particles that go
backwards lie on the line near the vertex, and a shower hides where it begins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .events import Events
from .geometry import Geometry, segment_of
from .particles import Table
from .settings import settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SLOPES = np.arange(-16, 17) * 0.03  # du/dz: 26 degrees either way
_BIN = 2  # strips
_ROADS = (3.0, 1.5)  # strips: what a line is fitted to, first and then
_ROAD = 1.0  # what lies on it in the end
_GAP = 2  # planes of a view that a line may miss in a row
_LEAST = 4  # planes of a view that make a line


@dataclass(frozen=True, eq=False)
class Track(Table):
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


def find_tracks(events: Events) -> Track:
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


def _clusters(events: Events, view: int) -> _Clusters:
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


def _lines(events: Events, clusters: _Clusters, planes: Ints) -> tuple[Ints, Ints]:
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
