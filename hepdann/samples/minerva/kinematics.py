"""Particles, vertices and kinematics: where a neutrino interacts, how, and where the muon goes.

Charged currents of muon neutrinos only. Energies and momenta of an interaction in GeV, of particles
in MeV; the axes are the detector's. Ranges are the mean energy loss, integrated once: Bethe's
formula with Sternheimer's density correction (Particle Data Group, passage of particles through
matter), for polystyrene (atomic and nuclear properties, ibid.).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .geometry import Conditions, Geometry, fiducial_grid, in_hexagon, section_at, settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PROTON, NEUTRON, CHARGED_PION, NEUTRAL_PION, MUON_KIND, PHOTON = range(6)
_RATIO, _EXCITATION, _ELECTRON = 0.53768, 68.7e-6, 0.511  # Z/A, mean excitation in MeV, MeV
MASSES = np.array([938.272, 939.565, 139.570, 134.977, 105.658, 0.0])  # MeV
_DENSITY = (0.1647, 2.5031, 3.2999, 0.16454, 3.2224)  # Sternheimer's x0, x1, C, a, k
NUCLEON, MUON = 0.93892, 0.10566  # GeV
PROCESSES = ("quasi-elastic", "resonant", "deep inelastic")
_ROUNDS = 10_000  # a round accepts about half of what is left


@dataclass(frozen=True, eq=False)
class RowTable:
    """Columns of equal length: the base of what comes in rows."""

    def __getitem__(self, rows: Any) -> Self:
        """Some rows: indices, a mask or a slice."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """All rows of at least one table."""
        columns = [[getattr(part, field.name) for part in parts] for field in fields(cls)]
        return cls(
            *(
                type(column[0]).join(column)
                if isinstance(column[0], RowTable)
                else np.concatenate(column)
                for column in columns
            )
        )


@dataclass(frozen=True, eq=False)
class Particles(RowTable):
    """m particles of n events, in no order.

    Attributes:
        event: row of the event of each.
        kind: index of :data:`MASSES`.
        kinetic: kinetic energy, MeV.
        direction: unit vectors (m, 3).
    """

    event: Ints
    kind: Ints
    kinetic: Floats
    direction: Floats

    def __len__(self) -> int:
        return len(self.event)


def isotropic(n: int, generator: np.random.Generator) -> Floats:
    """N unit vectors that point anywhere, (n, 3)."""
    cosine = generator.uniform(-1, 1, n)
    azimuth = generator.uniform(0, 2 * np.pi, n)
    sine = np.sqrt(1 - cosine**2)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine], axis=1)


def transverse(axis: Floats) -> tuple[Floats, Floats]:
    """Two unit vectors (n, 3) at right angles to each axis and to each other."""
    helper = np.where(np.abs(axis[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(axis, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(axis, first)


def turned(axis: Floats, cosine: Floats, azimuth: Floats) -> Floats:
    """Unit vectors (n, 3) at an angle, given by its cosine (n,), to unit vectors (n, 3).

    ``azimuth`` (n,) is about each axis.
    """
    first, second = transverse(axis)
    sine = np.sqrt(np.maximum(1 - cosine**2, 0))
    return np.asarray(
        cosine[:, None] * axis
        + (sine * np.cos(azimuth))[:, None] * first
        + (sine * np.sin(azimuth))[:, None] * second
    )


@cache
def _table() -> tuple[Floats, Floats]:
    """Kinetic energy over mass, and range over mass in g/cm² per MeV: one curve for all."""
    tau = np.geomspace(1e-4, 1e4, 2000)
    gamma = 1 + tau
    beta2 = 1 - gamma**-2
    term = 2 * _ELECTRON * beta2 * gamma**2 / _EXCITATION
    x0, x1, c, a, k = _DENSITY  # how far the polarised medium screens the field
    x = np.log10(np.sqrt(gamma**2 - 1))
    delta = np.where(x < x0, 0, 2 * np.log(10) * x - c + a * np.maximum(x1 - x, 0) ** k)
    loss = 0.3071 * _RATIO / beta2 * (np.log(np.maximum(term, 3.0)) - beta2 - delta / 2)
    steps = np.diff(tau) * 2 / (loss[1:] + loss[:-1])
    return tau, np.concatenate([[0.0], np.cumsum(steps)])


def range_of(kind: NDArray[np.integer], kinetic: Floats) -> Floats:
    """Range in g/cm² of scintillator of charged particles of these kinetic energies, MeV."""
    tau, ranges = _table()
    mass = MASSES[kind]
    return np.asarray(np.interp(kinetic / mass, tau, ranges) * mass)


def energy_after(kind: NDArray[np.integer], residual: Floats) -> Floats:
    """Kinetic energy, MeV, of particles with that range, g/cm², left."""
    tau, ranges = _table()
    mass = MASSES[kind]
    return np.asarray(np.interp(residual / mass, ranges, tau) * mass)


@dataclass(frozen=True, eq=False)
class Vertices(RowTable):
    """Interaction points of n events.

    Attributes:
        x: mm, across the beam; y: likewise; z: along it.
        slab: slab of each.
        fraction: how far into its matter, 0 at the upstream face, 1 at the downstream one.
        section: row of :class:`.Sections`: 0 for scintillator.
        code: plane code.
    """

    x: Floats
    y: Floats
    z: Floats
    slab: Ints
    fraction: Floats
    section: Ints
    code: Ints

    def starts(self, table: Floats, thickness: Floats, forward: NDArray[np.bool_]) -> Floats:
        """Where in a cumulated table of the slabs particles start.

        A vertex in a target has the matter of its own section before and behind it, while the table
        holds the mean of the target. ``table`` is cumulated at the slabs' borders, ``thickness``
        the same quantity of each section.

        Returns:
            Positions in the table, one an event.
        """
        of_slab = table[self.slab + 1] - table[self.slab]
        matter = np.where(self.section == 0, of_slab, thickness[self.section])
        behind = table[self.slab] + self.fraction * matter
        before = table[self.slab + 1] - (1 - self.fraction) * matter
        return np.asarray(np.where(forward, before, behind))


@cache
def layer_masses(geometry: Geometry) -> Floats:
    """Mean areal mass, g/cm², of each plane code from 1 to the last a vertex may have."""
    masses = np.full(geometry.codes, settings().geometry.plane_mass)
    sections = geometry.sections
    for target in settings().geometry.targets:
        slab = geometry.slab_of_code()[target.code]
        chosen = section_at(target, *fiducial_grid(581))
        of_target = np.flatnonzero(sections.target == slab)
        masses[target.code - 1] = sections.mass[of_target][chosen].mean()
    return masses


def draw_vertices(geometry: Geometry, n: int, generator: np.random.Generator) -> Vertices:
    """Draw n vertices with a density ∝ density × thickness of what is at each point."""
    masses = layer_masses(geometry)
    code = generator.choice(geometry.codes, size=n, p=masses / masses.sum()) + 1
    x, y = _in_hexagon(n, generator)
    slab_of_code = geometry.slab_of_code()
    slab = slab_of_code[code]
    section = np.zeros(n, dtype=np.int64)
    for target in settings().geometry.targets:
        rows = np.flatnonzero(code == target.code)
        of_target = np.flatnonzero(geometry.sections.target == slab_of_code[target.code])
        mass = geometry.sections.mass[of_target]
        while len(rows):  # heavier sections of a target have more events
            section[rows] = of_target[section_at(target, x[rows], y[rows])]
            accepted = generator.random(len(rows)) * mass.max() < geometry.sections.mass[
                section[rows]
            ]  # fmt: skip
            rows = rows[~accepted]
            x[rows], y[rows] = _in_hexagon(len(rows), generator)
    fraction = generator.random(n)
    start = geometry.edges[slab]
    length = geometry.edges[slab + 1] - start
    for target in settings().geometry.targets:  # sections stand flush with the upstream face
        of_target = np.flatnonzero(geometry.sections.target == slab_of_code[target.code])
        thickness = np.array([part.thickness for part in target.sections])
        rows = np.flatnonzero(code == target.code)
        length[rows] = thickness[section[rows] - of_target[0]]
    return Vertices(x, y, start + fraction * length, slab, fraction, section, code)


def _in_hexagon(n: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Points evenly in the hexagon: two of its three rhombi's sides, and a turn."""
    apothem = settings().geometry.fiducial
    side = 2 * apothem / np.sqrt(3)
    a, b = generator.random((2, n)) * side
    turn = np.radians(90 + 120 * generator.integers(0, 3, n))
    other = turn + np.radians(120)
    return a * np.cos(turn) + b * np.cos(other), a * np.sin(turn) + b * np.sin(other)


@dataclass(frozen=True, eq=False)
class Kinematics:
    """Kinematics of n events.

    Attributes:
        energy: of the neutrino, GeV.
        process: index of :data:`PROCESSES`.
        W: invariant mass of the hadrons, GeV.
        Q2: four-momentum transfer squared, GeV².
        transfer: energy that the hadrons take, GeV.
        muon: momentum of the muon (n, 3), GeV.
        momentum: momentum that the hadrons take (n, 3), GeV.
    """

    energy: Floats
    process: Ints
    W: Floats
    Q2: Floats
    transfer: Floats
    muon: Floats
    momentum: Floats


def draw_kinematics(
    geometry: Geometry, vertices: Vertices, conditions: Conditions, generator: np.random.Generator
) -> Kinematics:
    """Draw an interaction for each vertex whose muon goes forward through all planes behind it."""
    n = len(vertices.x)
    pending = np.arange(n)
    result: Kinematics | None = None
    for _ in range(_ROUNDS):
        tried = _draw_each(len(pending), conditions, generator)
        accepted = _kept(tried, conditions, generator) & _visible_muon(
            geometry, vertices, pending, tried
        )
        if result is None:
            result = tried
        else:
            for field in fields(Kinematics):
                column = getattr(result, field.name)
                column[pending[accepted]] = getattr(tried, field.name)[accepted]
        pending = pending[~accepted]
        if not len(pending):
            break
    assert result is not None
    assert not len(pending), "the cuts on the muon leave nothing"
    return result


def _draw_each(n: int, conditions: Conditions, generator: np.random.Generator) -> Kinematics:
    """One try for each of n events; what is kinematically impossible has Q2 = nan."""
    energy = _energies(n, conditions.flux, generator)
    process = _processes(energy, generator)
    W, Q2 = _hadronic(energy, process, generator)
    transfer = (W**2 - NUCLEON**2 + Q2) / (2 * NUCLEON)
    left = energy - transfer
    with np.errstate(invalid="ignore"):
        momentum = np.sqrt(left**2 - MUON**2)
        cosine = (2 * energy * left - MUON**2 - Q2) / (2 * energy * momentum)
        possible = (left > MUON) & (np.abs(cosine) <= 1)
        sine = np.sqrt(1 - cosine**2)
    azimuth = generator.uniform(0, 2 * np.pi, n)
    muon = momentum[:, None] * np.stack(
        [sine * np.cos(azimuth), sine * np.sin(azimuth), cosine], axis=1
    )
    beam = np.zeros((n, 3))
    beam[:, 2] = energy
    Q2 = np.where(possible, Q2, np.nan)
    return Kinematics(
        energy, process, W, Q2, transfer, _tilted(muon), _tilted(beam - muon)
    )  # fmt: skip


def muon_cosine(muon: Floats) -> Floats:
    """Cosine of the angle between muons (n, 3), in the detector's axes, and the neutrino beam."""
    beam = _tilted(np.array([[0.0, 0.0, 1.0]]))[0]
    return np.asarray(beam @ muon.T / np.linalg.norm(muon, axis=1))


def _tilted(vectors: Floats) -> Floats:
    """Turn vectors given along the beam into the detector's axes."""
    angle = np.arctan(settings().interactions.beam_slope)
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = vectors.T
    return np.stack([x, c * y + s * z, c * z - s * y], axis=1)


def _energies(n: int, flux: str, generator: np.random.Generator) -> Floats:
    frozen = settings().interactions
    parts = frozen.flux[flux]
    low, high = frozen.energy
    part = generator.choice(len(parts), size=n, p=[p.share for p in parts])
    median = np.array([p.median for p in parts])[part]
    width = np.array([p.width for p in parts])[part]
    energy = median * np.exp(width * generator.standard_normal(n))
    return np.asarray(np.clip(energy, low, high))


def _processes(energy: Floats, generator: np.random.Generator) -> Ints:
    """Quasi-elastic, resonant or deep inelastic, in the ratio of the cross-sections."""
    frozen = settings().interactions
    deep = np.maximum(frozen.deep_inelastic.offset + frozen.deep_inelastic.slope * energy, 0)
    draw = generator.random(len(energy)) * (frozen.quasi_elastic + frozen.resonant + deep)
    edges: Floats = np.cumsum([frozen.quasi_elastic, frozen.resonant])
    return np.asarray(np.searchsorted(edges, draw), dtype=np.int64)


def _hadronic(
    energy: Floats, process: Ints, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """W and Q² of each event."""
    frozen = settings().interactions
    n = len(energy)
    one, two, three = generator.random((3, n))
    masses = frozen.axial_mass
    axial = np.where(process == 0, masses.quasi_elastic, masses.resonant)
    Q2 = axial**2 * ((1 - one) ** (-1 / 3) - 1)  # dipole form factors squared: (1 + Q²/M²)^-4
    W = np.full(n, NUCLEON)
    resonant = process == 1
    W[resonant] = _breit_wigner(two[resonant], three[resonant])
    deep = process == 2
    transfer = two[deep] * energy[deep]  # y is flat
    x = 1 - (1 - one[deep]) ** 0.25  # (1 - x)^3
    squared = NUCLEON**2 + 2 * NUCLEON * transfer * (1 - x)
    Q2[deep] = np.where(squared > frozen.deep_w**2, 2 * NUCLEON * transfer * x, np.nan)
    W[deep] = np.sqrt(squared)
    return W, Q2


def _breit_wigner(draw: Floats, which: Floats) -> Floats:
    frozen = settings().interactions
    low, high = frozen.resonant_w
    shares = np.cumsum([resonance.share for resonance in frozen.resonances])
    number = np.minimum(np.searchsorted(shares, which), len(shares) - 1)
    mass = np.array([resonance.mass for resonance in frozen.resonances])[number]
    half = np.array([resonance.width for resonance in frozen.resonances])[number] / 2
    first, last = np.arctan((low - mass) / half), np.arctan((high - mass) / half)
    return np.asarray(mass + half * np.tan(first + draw * (last - first)))


def _kept(
    tried: Kinematics, conditions: Conditions, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Drop what is impossible, and what the model has less of."""
    draw = generator.random(len(tried.energy))
    possible = np.isfinite(tried.Q2)
    if conditions.model == "nominal":
        return possible
    frozen = settings().shifts
    weight = np.ones_like(draw)
    resonant = tried.process == 1
    root = np.sqrt(np.nan_to_num(tried.Q2))
    low = frozen.low_q2.norm / (1 + np.exp(1 - root / frozen.low_q2.scale))
    weight[resonant] = np.minimum(low[resonant], 1.0)
    few = (tried.process == 2) & (frozen.non_resonant.w > tried.W)
    weight[few] = frozen.non_resonant.factor
    return possible & (draw < weight)


def _visible_muon(
    geometry: Geometry, vertices: Vertices, rows: Ints, tried: Kinematics
) -> NDArray[np.bool_]:
    """Whether the muon is fast, forward, and leaves by the last plane."""
    cuts, apothem = settings().interactions.muon, settings().geometry.hexagon
    with np.errstate(invalid="ignore", divide="ignore"):
        px, py, pz = tried.muon.T
        momentum = np.linalg.norm(tried.muon, axis=1)
        energy = np.sqrt(momentum**2 + MUON**2)
        far = geometry.edges[-1] - vertices.z[rows]
        x = vertices.x[rows] + px / pz * far
        y = vertices.y[rows] + py / pz * far
        return np.asarray(
            (energy > cuts.energy)
            & (muon_cosine(tried.muon) > np.cos(np.radians(cuts.angle)))
            & (pz > 0)
            & in_hexagon(x, y, apothem)
        )
