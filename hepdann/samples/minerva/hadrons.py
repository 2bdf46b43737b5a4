"""The hadrons of each event, at the nucleon and after the rest of the nucleus.

Not a model of the strong interaction: multiplicities follow the published line in ln W², transverse
momenta a Gaussian, and each event conserves energy and momentum. Final-state interactions: heavier
nuclei let fewer hadrons pass. Pions are absorbed, exchange their charge or lose energy; nucleons
lose energy; and each collision knocks out nucleons, some of them backwards.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .geometry import settings
from .kinematics import (
    CHARGED_PION,
    MASSES,
    NEUTRAL_PION,
    NEUTRON,
    NUCLEON,
    PHOTON,
    PROTON,
    Floats,
    Ints,
    Kinematics,
    Particles,
    isotropic,
    transverse,
    turned,
)

_MOST = 8  # hadrons at the nucleon
_PION = 0.138  # GeV


def draw_hadrons(
    kinematics: Kinematics, free: NDArray[np.bool_], generator: np.random.Generator
) -> Particles:
    """Protons, neutrons and pions of n events as they are made at the nucleon."""
    kinds = _kinds(kinematics, generator)
    momenta = _at_rest(kinematics.W, kinds, generator)
    fermi = generator.normal(0, settings().interactions.fermi, kinematics.momentum.shape)
    total = kinematics.momentum + np.where(free[:, None], 0, fermi)
    momenta = _boosted(momenta, kinds, kinematics.W, total)
    event, slot = np.nonzero(kinds >= 0)
    kind = kinds[event, slot]
    vector = momenta[event, slot] * 1e3
    size = np.linalg.norm(vector, axis=1)
    mass = MASSES[kind]
    kinetic = np.sqrt(size**2 + mass**2) - mass
    direction = vector / np.maximum(size, 1e-9)[:, None]
    return _pairs(Particles(event, kind, kinetic, direction), kinematics, generator)


def _kinds(kinematics: Kinematics, generator: np.random.Generator) -> Ints:
    """Kinds of the hadrons (n, _MOST), the nucleon first, -1 where there is none."""
    n = len(kinematics.W)
    kinds = np.full((n, _MOST), -1)
    draw = generator.random(n)
    neutral = generator.random((n, _MOST)) < 1 / 3
    line = settings().interactions.multiplicity
    charged = line.offset + line.slope * np.log(np.maximum(kinematics.W, 1.1) ** 2)
    mean = np.maximum(1.5 * (charged - 0.6) - 1, 0.05)  # pions of all charges beyond the first
    extra = generator.poisson(mean)
    kinds[:, 0] = PROTON
    resonant = kinematics.process == 1
    # of an isoscalar nucleus, pπ+ 3 : nπ+ 1/3 : pπ0 2/3, and a part that is no Δ
    kinds[resonant, 0] = np.where(draw[resonant] < 0.15, NEUTRON, PROTON)
    kinds[resonant, 1] = np.where(draw[resonant] < 0.75, CHARGED_PION, NEUTRAL_PION)
    second = resonant & (kinematics.W > 1.4) & (extra > 0)
    kinds[second, 2] = np.where(neutral[second, 2], NEUTRAL_PION, CHARGED_PION)
    deep = kinematics.process == 2
    kinds[deep, 0] = np.where(draw[deep] < 0.4, NEUTRON, PROTON)
    room = np.floor((kinematics.W - NUCLEON) / (1.3 * _PION)).astype(np.int64)
    pions = np.clip(1 + extra, 1, np.clip(room, 1, _MOST - 1))
    filled = deep[:, None] & (np.arange(_MOST) <= pions[:, None]) & (np.arange(_MOST) > 0)
    kinds[filled] = np.where(neutral, NEUTRAL_PION, CHARGED_PION)[filled]
    return kinds


def _at_rest(W: Floats, kinds: Ints, generator: np.random.Generator) -> Floats:
    """Momenta (n, _MOST, 3) in the hadrons' rest frame, z along the momentum transfer, GeV."""
    present = kinds >= 0
    mass = np.where(present, MASSES[kinds] / 1e3, 0)
    momenta = generator.normal(0, settings().interactions.transverse, (*kinds.shape, 3))
    momenta[..., 2] *= 0.5 + W[:, None]
    momenta[:, 0, 2] -= 0.3 * W  # what is left of the nucleon stays behind
    momenta *= present[..., None]
    count = np.maximum(present.sum(axis=1), 1)
    momenta -= momenta.sum(axis=1, keepdims=True) / count[:, None, None]
    momenta *= present[..., None]
    square = np.sum(momenta**2, axis=2)
    goal = np.maximum(W, mass.sum(axis=1) + 1e-3)
    scale = np.ones_like(W)
    for _ in range(8):  # Newton: the energies add up to W
        energy = np.sqrt(scale[:, None] ** 2 * square + mass**2)
        slope = np.sum(scale[:, None] * square / np.maximum(energy, 1e-9), axis=1)
        step = (energy.sum(axis=1) - goal) / np.maximum(slope, 1e-9)
        scale = np.where(count > 1, np.maximum(scale - step, scale / 4), 0)
    return momenta * scale[:, None, None]


def _boosted(momenta: Floats, kinds: Ints, W: Floats, total: Floats) -> Floats:
    """Boost from the rest frame, whose z lies along ``total``, to the laboratory."""
    size = np.linalg.norm(total, axis=1)
    axis = total / np.maximum(size, 1e-9)[:, None]
    mass = np.where(kinds >= 0, MASSES[kinds] / 1e3, 0)
    rest = np.maximum(W, mass.sum(axis=1) + 1e-3)
    gamma, speed = np.sqrt(1 + (size / rest) ** 2), size / rest
    energy = np.sqrt(np.sum(momenta**2, axis=2) + mass**2)
    along = gamma[:, None] * momenta[..., 2] + speed[:, None] * energy
    first, second = transverse(axis)
    return np.asarray(
        momenta[..., :1] * first[:, None]
        + momenta[..., 1:2] * second[:, None]
        + along[..., None] * axis[:, None]
    )


def _pairs(hadrons: Particles, kinematics: Kinematics, generator: np.random.Generator) -> Particles:
    """Let two nucleons share what one would have, in some of the quasi-elastic events."""
    chosen = generator.random(len(kinematics.W)) < settings().interactions.two_nucleons
    share = generator.uniform(0.2, 0.8, len(kinematics.W))
    proton = generator.random(len(kinematics.W)) < 0.5
    rows = chosen[hadrons.event] & (kinematics.process[hadrons.event] == 0)
    event = hadrons.event[rows]
    kinetic = hadrons.kinetic.copy()
    kinetic[rows] *= share[event]
    partner = Particles(
        event,
        np.where(proton[event], PROTON, NEUTRON),
        hadrons.kinetic[rows] * (1 - share[event]),
        _normalised(hadrons.direction[rows] + isotropic(len(event), generator) * 0.9),
    )
    first = Particles(hadrons.event, hadrons.kind, kinetic, hadrons.direction)
    return Particles.join([first, partner])


def _normalised(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def decayed(particles: Particles, generator: np.random.Generator) -> Particles:
    """Replace neutral pions by the two photons each decays to at once."""
    neutral = particles.kind == NEUTRAL_PION
    pions = particles[neutral]
    mass = MASSES[NEUTRAL_PION]
    energy = pions.kinetic + mass
    momentum = np.sqrt(energy**2 - mass**2)
    rest = isotropic(len(pions), generator)
    along = np.sum(rest * pions.direction, axis=1)
    photons = []
    for sign in (1, -1):
        photon = (energy + sign * momentum * along) / 2
        # boost of (m/2)(1, ±rest) along the pion
        factor = sign * along * (energy / mass - 1) + momentum / mass
        vector = mass / 2 * (sign * rest + factor[:, None] * pions.direction)
        size = np.maximum(np.linalg.norm(vector, axis=1, keepdims=True), 1e-9)
        kind = np.full(len(pions), PHOTON)
        photons.append(Particles(pions.event, kind, photon, vector / size))
    return Particles.join([particles[~neutral], *photons])


def interacted(
    hadrons: Particles, mass_number: NDArray[np.integer], generator: np.random.Generator
) -> Particles:
    """The hadrons that leave the nuclei, those knocked out among them."""
    frozen = settings().fsi
    a = mass_number[hadrons.event]
    pion = hadrons.kind >= CHARGED_PION
    pass_by = np.where(
        pion, _by_nucleus(frozen.transparency.pion, a), _by_nucleus(frozen.transparency.nucleon, a)
    )
    hit = generator.random(len(hadrons)) > pass_by
    fate = generator.random(len(hadrons))
    kept = generator.uniform(0.3, 0.9, len(hadrons))
    swung = turned(
        hadrons.direction,
        np.clip(1 - generator.exponential(0.4, len(hadrons)), -1, 1),
        generator.uniform(0, 2 * np.pi, len(hadrons)),
    )
    absorbed = hit & pion & (fate < frozen.absorbed)
    exchanged = hit & pion & ~absorbed & (fate < frozen.absorbed + frozen.charge_exchange)
    slowed = hit & ~absorbed
    kind = hadrons.kind.copy()
    kind[exchanged] = CHARGED_PION + NEUTRAL_PION - kind[exchanged]
    direction = np.where(slowed[:, None], swung, hadrons.direction)
    kinetic = np.where(slowed, hadrons.kinetic * kept, hadrons.kinetic)
    leading = Particles(hadrons.event, kind, kinetic, direction)[~absorbed]
    absorption = _from_absorption(hadrons[absorbed], generator)
    lost = (hadrons.kinetic - kinetic)[slowed]
    knocked_out = _knocked_out(hadrons[slowed], lost, a[slowed], generator)
    return Particles.join([leading, absorption, knocked_out])


def _by_nucleus(table: Mapping[int, float], a: NDArray[np.integer]) -> Floats:
    numbers = np.array(sorted(table))
    values = np.array([table[number] for number in sorted(table)])
    return np.asarray(values[np.searchsorted(numbers, a)])


def _from_absorption(pions: Particles, generator: np.random.Generator) -> Particles:
    """Three nucleons share an absorbed pion's energy, mass included, and fly anywhere."""
    energy = pions.kinetic + MASSES[CHARGED_PION] - 30  # binding
    shares = generator.dirichlet((1.0, 1.0, 1.0), len(pions)).T
    return Particles.join(
        [
            Particles(
                pions.event,
                np.where(generator.random(len(pions)) < 0.6, PROTON, NEUTRON),
                energy * share,
                _normalised(0.4 * pions.direction + isotropic(len(pions), generator)),
            )
            for share in shares
        ]
    )


def _knocked_out(
    hadrons: Particles, available: Floats, a: NDArray[np.integer], generator: np.random.Generator
) -> Particles:
    """Slow nucleons from each collision, with the energy that the hadron lost and no more."""
    frozen = settings().fsi
    count = generator.poisson(_by_nucleus(frozen.knocked_out, a))
    rows = np.repeat(np.arange(len(hadrons)), count)
    n = len(rows)
    kinetic = generator.exponential(frozen.knocked_energy, n)
    spent = np.bincount(rows, weights=kinetic, minlength=len(hadrons))
    kinetic *= np.minimum(available / np.maximum(spent, 1e-9), 1)[rows]
    b = frozen.forward
    draw = generator.random(n)
    cosine = np.log(np.exp(-b) + draw * (np.exp(b) - np.exp(-b))) / b
    azimuth = generator.uniform(0, 2 * np.pi, n)
    axis = np.zeros((n, 3))
    axis[:, 2] = 1
    return Particles(
        hadrons.event[rows],
        np.where(generator.random(n) < 0.5, PROTON, NEUTRON),
        kinetic,
        turned(axis, cosine, azimuth),
    )
