"""Where neutrinos interact: in proportion to the matter, evenly across the fiducial hexagon."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .geometry import Geometry, fiducial_grid, section_at
from .particles import Table
from .settings import settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Vertices(Table):
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

        A vertex in a target has the matter of its own section before and behind it, while the
        table holds the mean of the target.

        Args:
            table: cumulated at the slabs' borders.
            thickness: the same quantity of each section.
            forward: whether each particle goes downstream, one an event.

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
