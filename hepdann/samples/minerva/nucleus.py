"""Final-state interactions: what the rest of the nucleus does to hadrons on their way out.

Heavier nuclei let fewer hadrons pass. Pions are absorbed, exchange their charge or lose energy;
nucleons lose energy; and each collision knocks out nucleons, some of them backwards.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .particles import (
    CHARGED_PION,
    MASSES,
    NEUTRAL_PION,
    NEUTRON,
    PROTON,
    Particles,
    isotropic,
    join,
    turned,
)
from .settings import settings

__all__ = ["interacted"]

Floats = NDArray[np.float64]


def interacted(
    hadrons: Particles, mass_number: NDArray[np.integer], generator: np.random.Generator
) -> Particles:
    """The hadrons that leave the nuclei.

    Args:
        hadrons: as made at the nucleon.
        mass_number: of the nucleus of each event.
        generator: random numbers.

    Returns:
        The hadrons outside, those knocked out among them.
    """
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
    return join(
        leading,
        _from_absorption(hadrons[absorbed], generator),
        _knocked_out(hadrons[slowed], (hadrons.kinetic - kinetic)[slowed], a[slowed], generator),
    )


def _by_nucleus(table: Mapping[int, float], a: NDArray[np.integer]) -> Floats:
    numbers = np.array(sorted(table))
    values = np.array([table[number] for number in sorted(table)])
    return np.asarray(values[np.searchsorted(numbers, a)])


def _from_absorption(pions: Particles, generator: np.random.Generator) -> Particles:
    """Three nucleons share an absorbed pion's energy, mass included, and fly anywhere."""
    energy = pions.kinetic + MASSES[CHARGED_PION] - 30  # binding
    shares = generator.dirichlet((1.0, 1.0, 1.0), len(pions)).T
    return join(
        *(
            Particles(
                pions.event,
                np.where(generator.random(len(pions)) < 0.6, PROTON, NEUTRON),
                energy * share,
                _leaning(pions.direction, generator),
            )
            for share in shares
        )
    )


def _leaning(axis: Floats, generator: np.random.Generator) -> Floats:
    vector = 0.4 * axis + isotropic(len(axis), generator)
    return np.asarray(vector / np.linalg.norm(vector, axis=1, keepdims=True))


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
