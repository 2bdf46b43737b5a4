"""From deposits to hits: light shared by neighbouring triangles, photo-electrons, times.

Strips are triangles, every other one upside down: a particle that crosses a plane between the
middles of two strips shares its path between them in proportion, which gives MINERvA its
resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .geometry import Conditions, Geometry, in_hexagon, settings
from .kinematics import Table
from .transport import Deposits

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SUBSTEPS = 6  # at most so many pieces of an inclined path are shared out
_LIGHT_SPEED = 299.79  # mm/ns
_GRAIN = 1 / 128  # MeV and ns: what is written is rounded to this, far below any resolution


@dataclass(frozen=True, eq=False)
class Hits(Table):
    """Hits of n events, event by event, in the order of planes and strips.

    Attributes:
        event: row of the event of each.
        plane: plane number.
        strip: 0 to 126.
        energy: MeV.
        time: ns.
    """

    event: Ints
    plane: Ints
    strip: Ints
    energy: Floats
    time: Floats


@cache
def dead_strips(planes: int, extra: float = 0.0) -> NDArray[np.bool_]:
    """Which strips are dead, (planes, strips): always the same ones, and ``extra`` more of them."""
    frozen = settings()
    draw = np.random.default_rng(20_141_305).random((400, frozen.geometry.strips))[:planes]
    return np.asarray((draw < frozen.light.dead) | (draw > 1 - extra))


@cache
def _gains(planes: int) -> Floats:
    """What calibration leaves from strip to strip, (planes, strips)."""
    frozen = settings()
    draw = np.random.default_rng(5_199).standard_normal((400, frozen.geometry.strips))[:planes]
    return np.asarray(1 + frozen.light.strip_spread * draw)


def hits_of(
    geometry: Geometry,
    deposits: Deposits,
    z: Floats,
    conditions: Conditions,
    generators: dict[str, np.random.Generator],
) -> Hits:
    """Hits that the photomultipliers record of the energy in planes of n events.

    Args:
        geometry: the detector.
        deposits: energy in planes.
        z: of the vertices (n,), mm; light and particles travel from there.
        conditions: energy scale, smearing and dead strips.
        generators: random numbers for ``light``, ``noise``, ``times`` and ``smearing``.
    """
    light, strips = settings().light, settings().geometry.strips
    shape = (len(z), geometry.planes, strips)
    cells = _shared(geometry, deposits, shape)
    where, energy = _with_crosstalk(cells, strips)
    mean = energy * _gains(geometry.planes).ravel()[where % (shape[1] * strips)]
    count = generators["light"].poisson(mean * light.photoelectrons)
    where, count = _with_noise(cells, where, count, shape, generators["noise"])
    detected = count >= light.threshold
    where, count = where[detected], count[detected]
    charge = count + light.gain_spread * np.sqrt(count) * generators["light"].standard_normal(
        len(count)
    )  # fmt: skip
    energy = np.maximum(charge, 0.5) / light.photoelectrons
    event, plane, strip = np.unravel_index(where, shape)
    time = _times(geometry, event, plane, count, z, generators["times"])
    energy = energy * conditions.energy_scale
    if conditions.smearing:
        wobble = generators["smearing"].standard_normal(len(energy))
        energy = energy * np.maximum(1 + conditions.smearing * wobble, 0)
    alive = ~dead_strips(geometry.planes, conditions.dead)[plane, strip]
    return Hits(
        event[alive],
        plane[alive],
        strip[alive],
        np.maximum(np.rint(energy[alive] / _GRAIN), 1) * _GRAIN,
        np.rint(time[alive] / _GRAIN) * _GRAIN,
    )


def _shared(geometry: Geometry, deposits: Deposits, shape: tuple[int, int, int]) -> Floats:
    """Energy in every strip, (events * planes * strips,)."""
    frozen = settings().geometry
    deposits = deposits[in_hexagon(deposits.x, deposits.y, frozen.hexagon)]
    view = geometry.view[deposits.plane]
    cosine, sine = geometry.cosine[view], geometry.sine[view]
    place = deposits.x * cosine + deposits.y * sine
    slope = deposits.slope_x * cosine + deposits.slope_y * sine
    wide = np.abs(slope) * frozen.strip_height / frozen.strip_pitch
    pieces = np.minimum(1 + np.rint(wide).astype(np.int64), _SUBSTEPS)
    row = np.repeat(np.arange(len(place)), pieces)
    number = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    offset = ((number + 0.5) / pieces[row] - 0.5) * frozen.strip_height
    place = place[row] + slope[row] * offset
    energy = deposits.energy[row] / pieces[row]
    position = place / frozen.strip_pitch + (frozen.strips - 1) / 2
    lower = np.floor(position)
    upper_share = position - lower
    strip = lower.astype(np.int64)
    base = (deposits.event[row] * shape[1] + deposits.plane[row]) * shape[2]
    strips = np.concatenate([strip, strip + 1])
    inside = (strips >= 0) & (strips < shape[2])
    weights = np.concatenate([energy * (1 - upper_share), energy * upper_share])[inside]
    where = (np.concatenate([base, base]) + strips)[inside]
    return np.bincount(where, weights, int(np.prod(shape))).astype(np.float64, copy=False)


def _with_crosstalk(cells: Floats, strips: int) -> tuple[Ints, Floats]:
    """Cells with light and their energy, after some light has gone to neighbouring pixels."""
    light = settings().light
    where = np.flatnonzero(cells > 0)  # of bools: several times as fast as of floats
    energy = cells[where]
    strip = where % strips
    cells[where] -= light.crosstalk * energy
    for step in (-light.crosstalk_offset, light.crosstalk_offset):
        inside = (strip + step >= 0) & (strip + step < strips)
        cells[where[inside] + step] += light.crosstalk / 2 * energy[inside]
    where = np.flatnonzero(cells > 0)
    return where, cells[where]


def _with_noise(
    cells: Floats,
    where: Ints,
    count: Ints,
    shape: tuple[int, int, int],
    generator: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Add dark counts of a few photo-electrons in any strip."""
    light = settings().light
    n = generator.poisson(light.noise * shape[0] * shape[1] / 100)
    place = np.sort(generator.choice(int(np.prod(shape)), n, replace=False, shuffle=False))
    size = light.threshold - 1 + generator.geometric(0.5, n)
    new = cells[place] == 0
    where = np.concatenate([where, place[new]])
    order = np.argsort(where, kind="stable")
    return where[order], np.concatenate([count, size[new]])[order]


def _times(
    geometry: Geometry,
    event: Ints,
    plane: Ints,
    count: Ints,
    z: Floats,
    generator: np.random.Generator,
) -> Floats:
    """Time of each hit: the bunch, the flight from the vertex, and the resolution."""
    light = settings().light
    start = generator.uniform(0, light.bucket, len(z))
    flight = np.abs(geometry.middle[plane] - z[event]) / _LIGHT_SPEED
    width = light.time_resolution * np.sqrt(20 / count)
    return np.asarray(
        start[event] + flight + np.minimum(width, 10) * generator.standard_normal(len(count))
    )
