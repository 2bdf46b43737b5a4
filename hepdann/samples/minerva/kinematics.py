"""Which neutrino interacts, how, and where the muon goes: E, W, Q² and the momentum transfer.

Charged currents of muon neutrinos only. Energies and momenta in GeV; the axes are the detector's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from .geometry import Geometry, in_hexagon
from .settings import Conditions, settings
from .vertices import Vertices

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NUCLEON, MUON = 0.93892, 0.10566  # GeV
PROCESSES = ("quasi-elastic", "resonant", "deep inelastic")
_ROUNDS = 10_000  # a round accepts about half of what is left


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
