"""From particles to hits: straight tracks and showers, energy in planes, light and its times.

A charged particle flies straight until its range or the next nucleus ends it; there, protons and
photons come out. Photons convert, and their energy falls as spots inside a cone. Neutrons are seen
where they strike a proton. Strips are triangles, every other one upside down: a particle that
crosses a plane between the middles of two strips shares its path between them in proportion, which
gives MINERvA its resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .geometry import Conditions, Geometry, in_hexagon, settings
from .kinematics import (
    CHARGED_PION,
    MUON_KIND,
    NEUTRON,
    PHOTON,
    PROTON,
    Particles,
    RowTable,
    Vertices,
    energy_after,
    isotropic,
    range_of,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SLOPE = 8.0  # |dx/dz| is cut there: beyond, a track lies within its plane
_SUBSTEPS = 6  # at most so many pieces of an inclined path are shared out
_LIGHT_SPEED = 299.79  # mm/ns
_GRAIN = 1 / 128  # MeV and ns: what is written is rounded to this, far below any resolution


@dataclass(frozen=True, eq=False)
class Tracks(RowTable):
    """Particles with the place they start from.

    Attributes:
        particles: m of them.
        position: x, y, z of each start (m, 3), mm.
        depth: where that is in the geometry's ``depth`` table.
        radiation: where that is in its ``radiation`` table.
    """

    particles: Particles
    position: Floats
    depth: Floats
    radiation: Floats


@dataclass(frozen=True, eq=False)
class Deposits(RowTable):
    """Energy left in planes.

    Attributes:
        event: row of the event.
        plane: plane number.
        x: mm, where the middle of the path in the plane is; y: likewise.
        slope_x: dx/dz of the path; slope_y: dy/dz.
        energy: visible, MeV.
    """

    event: Ints
    plane: Ints
    x: Floats
    y: Floats
    slope_x: Floats
    slope_y: Floats
    energy: Floats


def started(geometry: Geometry, vertices: Vertices, particles: Particles) -> Tracks:
    """Particles that start from the vertex of their event."""
    at = vertices[particles.event]
    forward = particles.direction[:, 2] > 0
    return Tracks(
        particles,
        np.stack([at.x, at.y, at.z], axis=1),
        at.starts(geometry.depth, geometry.sections.depth, forward),
        at.starts(geometry.radiation, geometry.sections.radiation, forward),
    )


def deposits_of(geometry: Geometry, tracks: Tracks, generator: np.random.Generator) -> Deposits:
    """What muons, protons, neutrons, pions, photons, and what they make, leave in the planes."""
    kind = tracks.particles.kind
    big = tracks.particles.kinetic > settings().transport.smallest
    first, born = _charged(geometry, tracks[big & (kind != PHOTON) & (kind != NEUTRON)], generator)
    neutrons = _struck(geometry, tracks[big & (kind == NEUTRON)], generator)
    again = Tracks.join([born, neutrons])
    photon = again.particles.kind == PHOTON
    second, _ = _charged(geometry, again[~photon], generator)
    photons = Tracks.join([tracks[big & (kind == PHOTON)], again[photon]])
    showers = _showers(geometry, photons, generator)
    return Deposits.join([first, second, showers])


def _charged(
    geometry: Geometry, tracks: Tracks, generator: np.random.Generator
) -> tuple[Deposits, Tracks]:
    """Deposits along straight tracks, and the particles made where nuclei were struck."""
    frozen = settings()
    particles = tracks.particles
    reach = range_of(particles.kind, particles.kinetic)
    free = generator.exponential(frozen.transport.interaction_length, len(particles))
    free[particles.kind == MUON_KIND] = np.inf
    length = np.minimum(reach, free)
    cosine = particles.direction[:, 2]
    floor = np.where(cosine < 0, -1.0, 1.0) * np.maximum(np.abs(cosine), 1e-3)
    end = np.clip(tracks.depth + length * floor, geometry.depth[0], geometry.depth[-1])
    low, high = np.minimum(tracks.depth, end), np.maximum(tracks.depth, end)
    first = np.clip(np.searchsorted(geometry.depth, low, side="right") - 1, 0, None)
    last = np.minimum(np.searchsorted(geometry.depth, high, side="left"), len(geometry.plane))
    count = np.maximum(last - first, 0)
    row = np.repeat(np.arange(len(particles)), count)
    slab = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + first[row]
    inside = geometry.plane[slab] >= 0
    row, slab = row[inside], slab[inside]
    enter = np.maximum(geometry.depth[slab], low[row])
    leave = np.minimum(geometry.depth[slab + 1], high[row])
    energy, path = _lost(tracks, reach, row, enter, leave, np.abs(floor))
    visible = _visible(energy, path, geometry.plane[slab], geometry, generator)
    deposits = _along(geometry, tracks[row], slab, (enter + leave) / 2, visible)
    return deposits, _born(geometry, tracks, free < reach, length, end, generator)


def _lost(
    tracks: Tracks, reach: Floats, row: Ints, enter: Floats, leave: Floats, cosine: Floats
) -> tuple[Floats, Floats]:
    """Energy lost between two depths, and the path between them in g/cm²."""
    start, kind = tracks.depth[row], tracks.particles.kind[row]
    near = np.minimum(np.abs(enter - start), np.abs(leave - start)) / cosine[row]
    path = (leave - enter) / cosine[row]
    before = energy_after(kind, np.maximum(reach[row] - near, 0))
    after = energy_after(kind, np.maximum(reach[row] - near - path, 0))
    return before - after, path


def _slopes(direction: Floats, least: float) -> tuple[Floats, Floats]:
    """dx/dz and dy/dz, up to 50, of directions whose z is taken as at least ``least``."""
    z = np.where(np.abs(direction[:, 2]) < least, least, direction[:, 2])
    return np.clip(direction[:, 0] / z, -50, 50), np.clip(direction[:, 1] / z, -50, 50)


def _at(tracks: Tracks, z: Floats, least: float) -> Floats:
    """Where straight tracks pass z, one each: (n, 3), mm."""
    slope_x, slope_y = _slopes(tracks.particles.direction, least)
    x, y, start = tracks.position.T
    dz = z - start
    return np.stack([x + slope_x * dz, y + slope_y * dz, z], axis=1)


def _along(
    geometry: Geometry, tracks: Tracks, slab: Ints, depth: Floats, energy: Floats
) -> Deposits:
    """Deposits where tracks are at these depths inside slabs, one each."""
    fraction = (depth - geometry.depth[slab]) / (geometry.depth[slab + 1] - geometry.depth[slab])
    z = geometry.edges[slab] + fraction * (geometry.edges[slab + 1] - geometry.edges[slab])
    x, y, _ = _at(tracks, z, 1e-3).T
    dx, dy = (np.clip(s, -_SLOPE, _SLOPE) for s in _slopes(tracks.particles.direction, 1e-3))
    return Deposits(tracks.particles.event, geometry.plane[slab], x, y, dx, dy, energy)


def _visible(
    energy: Floats,
    path: Floats,
    plane: Ints,
    geometry: Geometry,
    generator: np.random.Generator,
) -> Floats:
    """Light-giving energy: the share in scintillator, its fluctuation, Birks' quenching."""
    light = settings().light
    density = settings().materials["scintillator"].density
    per_mm = energy / np.maximum(path / density * 10, 1e-6)
    wobble = 1 + light.landau * (generator.gumbel(0, 1, len(energy)) - np.euler_gamma)
    active = geometry.active[plane]
    return np.asarray(energy * active * np.maximum(wobble, 0.2) / (1 + light.birks * per_mm))


def _born(
    geometry: Geometry,
    tracks: Tracks,
    struck: NDArray[np.bool_],
    length: Floats,
    end: Floats,
    generator: np.random.Generator,
) -> Tracks:
    """Two nucleons, and a pion or photons of what is left, where a hadron struck a nucleus."""
    reach_left = range_of(tracks.particles.kind, tracks.particles.kinetic) - length
    rows = np.flatnonzero(struck & (end > geometry.depth[0]) & (end < geometry.depth[-1]))
    parents = tracks.particles[rows]
    left = energy_after(parents.kind, reach_left[rows])
    n = len(rows)
    shares = generator.dirichlet((1.0, 1.0, 2.0, 1.0), n).T
    flavour = generator.random((3, n))
    through = np.where(parents.kind == CHARGED_PION, 0.4, 0.3)
    kinds = [
        np.where(flavour[0] < 0.5, PROTON, NEUTRON),
        np.where(flavour[1] < 0.5, PROTON, NEUTRON),
        np.where(flavour[2] < through, CHARGED_PION, np.where(flavour[2] < 0.6, PHOTON, PROTON)),
    ]
    z = np.interp(end[rows], geometry.depth, geometry.edges)
    radiation = np.interp(end[rows], geometry.depth, geometry.radiation)
    place = _at(tracks[rows], z, 1e-3)
    parts = []
    for kind, share, lean in zip(kinds, shares, (0.5, 0.5, 1.5), strict=False):
        vector = lean * parents.direction + isotropic(n, generator)
        vector /= np.linalg.norm(vector, axis=1, keepdims=True)
        made = Particles(parents.event, kind, left * share, vector)
        charged = (kind != NEUTRON) & (made.kinetic > settings().transport.smallest)
        parts.append(Tracks(made, place, end[rows], radiation)[charged])
    return Tracks.join(parts)


def _struck(geometry: Geometry, tracks: Tracks, generator: np.random.Generator) -> Tracks:
    """The protons that neutrons strike."""
    flown = generator.exponential(
        settings().transport.interaction_length, len(tracks.particles)
    )  # fmt: skip
    share = generator.random(len(tracks.particles))
    end = tracks.depth + flown * tracks.particles.direction[:, 2]
    inside = (end > geometry.depth[0]) & (end < geometry.depth[-1])
    tracks, end, share = tracks[inside], end[inside], share[inside]
    z = np.interp(end, geometry.depth, geometry.edges)
    place = _at(tracks, z, 0.02)
    # elastic: the struck proton leaves at an angle whose cosine squared is its share
    lean = tracks.particles.direction * np.sqrt(share)[:, None]
    lean += isotropic(len(z), generator) * np.sqrt(1 - share)[:, None]
    lean /= np.maximum(np.linalg.norm(lean, axis=1, keepdims=True), 1e-9)
    kinetic = tracks.particles.kinetic * share
    proton = Particles(tracks.particles.event, np.full(len(z), PROTON), kinetic, lean)
    radiation = np.interp(end, geometry.depth, geometry.radiation)
    return Tracks(proton, place, end, radiation)[kinetic > settings().transport.smallest]


def _showers(geometry: Geometry, photons: Tracks, generator: np.random.Generator) -> Deposits:
    """Spots of the showers of photons, inside a cone that opens where the photon converts."""
    frozen = settings().transport
    energy = photons.particles.kinetic
    conversion = generator.exponential(9 / 7, len(energy))
    row = np.repeat(np.arange(len(energy)), generator.poisson(energy / frozen.spot))
    # the longest showers lie deeper: t_max = ln(E/Ec) + 1/2 (Particle Data Group), b = 1/2
    shape = 1 + 0.5 * np.maximum(np.log(np.maximum(energy, 1) / frozen.critical) + 0.5, 0)
    along = generator.gamma(shape[row], 1.0) * 2
    at = photons.radiation[row] + (conversion[row] + along) * photons.particles.direction[row, 2]
    inside = (at > geometry.radiation[0]) & (at < geometry.radiation[-1])
    row, along, at = row[inside], along[inside], at[inside]
    slab = np.searchsorted(geometry.radiation, at, side="right") - 1
    in_plane = geometry.plane[slab] >= 0
    row, along, at, slab = (values[in_plane] for values in (row, along, at, slab))
    plane = geometry.plane[slab]
    x, y, _ = _at(photons[row], np.interp(at, geometry.radiation, geometry.edges), 0.02).T
    spread = frozen.cone[0] + frozen.cone[1] * along
    offset = generator.standard_normal((2, len(row))) * spread
    none = np.zeros(len(row))
    energy = frozen.spot * geometry.active[plane]
    event = photons.particles.event[row]
    return Deposits(event, plane, x + offset[0], y + offset[1], none, none, energy)


@dataclass(frozen=True, eq=False)
class RecordedHits(RowTable):
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
) -> RecordedHits:
    """Hits that the photomultipliers record of the energy in planes of n events.

    Light and particles travel from the vertices ``z`` (n,), mm; ``generators`` are for ``light``,
    ``noise``, ``times`` and ``smearing``.
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
    return RecordedHits(
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
