"""Particles as flat arrays, their directions, and their ranges in scintillator.

Ranges are the mean energy loss, integrated once: Bethe's formula with Sternheimer's density
correction (Particle Data Group, passage of particles through matter), for polystyrene (atomic and
nuclear properties, ibid.).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PROTON, NEUTRON, CHARGED_PION, NEUTRAL_PION, MUON_KIND, PHOTON = range(6)
MASSES = np.array([938.272, 939.565, 139.570, 134.977, 105.658, 0.0])  # MeV
_RATIO, _EXCITATION, _ELECTRON = 0.53768, 68.7e-6, 0.511  # Z/A, mean excitation in MeV, MeV
_DENSITY = (0.1647, 2.5031, 3.2999, 0.16454, 3.2224)  # Sternheimer's x0, x1, C, a, k


@dataclass(frozen=True, eq=False)
class Table:
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
                if isinstance(column[0], Table)
                else np.concatenate(column)
                for column in columns
            )
        )


@dataclass(frozen=True, eq=False)
class Particles(Table):
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
