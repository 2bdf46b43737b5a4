"""How far charged particles get in scintillator: the mean energy loss, integrated once.

Bethe's formula with Sternheimer's density correction (Particle Data Group, passage of particles
through matter), for polystyrene (atomic and nuclear properties, ibid.).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .particles import MASSES

__all__ = ["energy_after", "range_of"]

Floats = NDArray[np.float64]

_RATIO, _EXCITATION, _ELECTRON = 0.53768, 68.7e-6, 0.511  # Z/A, mean excitation in MeV, MeV
_DENSITY = (0.1647, 2.5031, 3.2999, 0.16454, 3.2224)  # Sternheimer's x0, x1, C, a, k


@cache
def _table() -> tuple[Floats, Floats]:
    """Kinetic energy over mass, and range over mass in g/cm² per MeV: one curve for all."""
    tau = np.geomspace(1e-4, 1e4, 2000)
    gamma = 1 + tau
    beta2 = 1 - gamma**-2
    term = 2 * _ELECTRON * beta2 * gamma**2 / _EXCITATION
    loss = 0.3071 * _RATIO / beta2 * (np.log(np.maximum(term, 3.0)) - beta2 - _delta(gamma) / 2)
    steps = np.diff(tau) * 2 / (loss[1:] + loss[:-1])
    return tau, np.concatenate([[0.0], np.cumsum(steps)])


def _delta(gamma: Floats) -> Floats:
    """How far the polarised medium screens the field of fast particles."""
    x0, x1, c, a, k = _DENSITY
    x = np.log10(np.sqrt(gamma**2 - 1))
    bent = a * np.maximum(x1 - x, 0) ** k
    return np.where(x < x0, 0, 2 * np.log(10) * x - c + bent)


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
