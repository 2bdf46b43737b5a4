"""Particles as flat arrays: whose event, what kind, how fast, which way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CHARGED_PION", "MASSES", "MUON_KIND", "NEUTRAL_PION", "NEUTRON", "PHOTON", "PROTON",
    "Particles", "isotropic", "join", "turned",
]  # fmt: skip

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PROTON, NEUTRON, CHARGED_PION, NEUTRAL_PION, MUON_KIND, PHOTON = range(6)
MASSES = np.array([938.272, 939.565, 139.570, 134.977, 105.658, 0.0])  # MeV


@dataclass(frozen=True, eq=False)
class Particles:
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

    def __getitem__(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Particles:
        return Particles(
            self.event[rows], self.kind[rows], self.kinetic[rows], self.direction[rows]
        )


def join(*parts: Particles) -> Particles:
    """All particles of several lists."""
    return Particles(
        np.concatenate([part.event for part in parts]),
        np.concatenate([part.kind for part in parts]),
        np.concatenate([part.kinetic for part in parts]),
        np.concatenate([part.direction for part in parts]),
    )


def isotropic(n: int, generator: np.random.Generator) -> Floats:
    """N unit vectors that point anywhere, (n, 3)."""
    cosine = generator.uniform(-1, 1, n)
    azimuth = generator.uniform(0, 2 * np.pi, n)
    sine = np.sqrt(1 - cosine**2)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine], axis=1)


def turned(axis: Floats, cosine: Floats, azimuth: Floats) -> Floats:
    """Unit vectors at an angle to axes.

    Args:
        axis: unit vectors (n, 3).
        cosine: of the angle to each (n,).
        azimuth: about it (n,).

    Returns:
        Unit vectors (n, 3).
    """
    helper = np.where(np.abs(axis[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(axis, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(axis, first)
    sine = np.sqrt(np.maximum(1 - cosine**2, 0))
    return np.asarray(
        cosine[:, None] * axis
        + (sine * np.cos(azimuth))[:, None] * first
        + (sine * np.sin(azimuth))[:, None] * second
    )
