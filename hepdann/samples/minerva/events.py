"""Simulated events in blocks: truth and hits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..files import DOMAINS, Columns, Domain, check_request, joined_columns
from .geometry import Conditions, Geometry, geometry, nominal, segment_of, settings, target
from .hadrons import decayed, draw_hadrons, interacted
from .kinematics import (
    MUON,
    MUON_KIND,
    NUCLEON,
    Kinematics,
    Particles,
    Vertices,
    draw_kinematics,
    draw_vertices,
    muon_cosine,
)
from .transport import RecordedHits, deposits_of, hits_of, started

BLOCK = 500  # events drawn from one set of generators
_STAGES = (
    "vertices", "kinematics", "hadrons", "nucleus", "transport",
    "light", "noise", "times", "smearing",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class SimulatedEvents:
    """n simulated events.

    Attributes:
        columns: what there is once an event: ``run``, ``subrun``, ``gate``, ``slice``, the truth
            ``planecode``, ``segment``, ``vtx_x``, ``vtx_y``, ``vtx_z`` (mm), ``E``, ``muon_E``
            (GeV), ``W`` (GeV), ``Q2`` (GeV²), ``x``, ``y``, ``process``, ``target_z``,
            ``muon_angle`` (rad, to the neutrino) and ``weight``.
        hits: the hits, in the order of the events.
        offsets: event i has the hits ``offsets[i]`` to ``offsets[i + 1]`` (n + 1).
        geometry: the detector.
    """

    columns: Columns
    hits: RecordedHits
    offsets: NDArray[np.int64]
    geometry: Geometry

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def hit_view(self) -> NDArray[np.int64]:
        """0 X, 1 U, 2 V of each hit."""
        return self.geometry.view[self.hits.plane]

    @property
    def hit_column(self) -> NDArray[np.int64]:
        """Column of each hit in the image of its view."""
        return self.geometry.column[self.hits.plane]

    def __getitem__(self, rows: slice) -> SimulatedEvents:
        """Events of a slice without step."""
        start, stop, _ = rows.indices(len(self))
        begin, end = self.offsets[start], self.offsets[stop]
        hits = self.hits[begin:end]
        return SimulatedEvents(
            {name: column[start:stop] for name, column in self.columns.items()},
            replace(hits, event=hits.event - start),
            self.offsets[start : stop + 1] - begin,
            self.geometry,
        )


def simulate(
    domain: Domain = "mc",
    events: int = 1000,
    seed: int = 0,
    *,
    conditions: Conditions | None = None,
    image: str = "127x50",
) -> SimulatedEvents:
    """Simulate events in memory.

    Args:
        domain: ``mc`` or ``data``: different events, and different conditions unless given.
        events: how many; more extend fewer.
        seed: the same seed gives the same events.
        conditions: physics and detector; by default :func:`.nominal` for MC, :func:`.target` for
            data.
        image: ``127x50`` or ``127x94``.

    Raises:
        ConfigError: no events, a negative seed, or no such image size.
    """
    return join_events(list(blocks(domain, events, seed, conditions=conditions, image=image)))


def join_events(parts: list[SimulatedEvents]) -> SimulatedEvents:
    """Events of several blocks as one."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0] + [len(part) for part in parts[:-1]])
    first = np.cumsum([0] + [part.offsets[-1] for part in parts[:-1]])
    hits = RecordedHits.join(
        [
            replace(part.hits, event=part.hits.event + start)
            for part, start in zip(parts, starts, strict=True)
        ]
    )
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, first, strict=True)]
    offsets.append(np.array([len(hits.event)]))
    columns = joined_columns([part.columns for part in parts])
    return SimulatedEvents(columns, hits, np.concatenate(offsets), parts[0].geometry)


def blocks(
    domain: Domain,
    events: int,
    seed: int,
    *,
    conditions: Conditions | None = None,
    image: str = "127x50",
) -> Iterator[SimulatedEvents]:
    """Yield the events of :func:`simulate`, at most ``BLOCK`` at a time, in constant memory."""
    check_request(events, seed)
    detector = geometry(image)
    if conditions is None:
        conditions = nominal() if domain == "mc" else target()
    for number, start in enumerate(range(0, events, BLOCK)):
        generators = {
            stage: np.random.default_rng(
                np.random.SeedSequence(seed, spawn_key=(DOMAINS.index(domain), number, key))
            )
            for key, stage in enumerate(_STAGES)
        }
        block = _block(detector, conditions, generators)
        index = np.arange(start, start + BLOCK)
        block.columns.update(_ids(domain, seed, index))
        yield block[: events - start]


def _ids(domain: Domain, seed: int, index: NDArray[np.int64]) -> Columns:
    """Event numbers: one slice a gate; data of two seeds have different runs."""
    run = 1 if domain == "mc" else 10_000 + 1_000 * (seed % 100_000)
    return {
        "run": np.full(len(index), run) + index // 10_000_000,
        "subrun": index // 1_000 % 10_000,
        "gate": index % 1_000 + 1,
        "slice": np.ones_like(index),
    }


def _block(
    detector: Geometry, conditions: Conditions, generators: dict[str, np.random.Generator]
) -> SimulatedEvents:
    """One whole block. No stage draws from another's generator: a shift moves only its own."""
    vertices = draw_vertices(detector, BLOCK, generators["vertices"])
    kinematics = draw_kinematics(detector, vertices, conditions, generators["kinematics"])
    particles = _final_state(detector, vertices, kinematics, conditions, generators)
    tracks = started(detector, vertices, particles)
    deposits = deposits_of(detector, tracks, generators["transport"])
    hits = hits_of(detector, deposits, vertices.z, conditions, generators)
    offsets = np.searchsorted(hits.event, np.arange(BLOCK + 1))
    return SimulatedEvents(_truth(detector, vertices, kinematics), hits, offsets, detector)


def _final_state(
    detector: Geometry,
    vertices: Vertices,
    kinematics: Kinematics,
    conditions: Conditions,
    generators: dict[str, np.random.Generator],
) -> Particles:
    draw = generators["hadrons"].random(len(vertices.x))
    free = (vertices.section == 0) & (draw < settings().interactions.hydrogen)
    hadrons = draw_hadrons(kinematics, free, generators["hadrons"])
    if conditions.fsi:
        a = detector.sections.a[vertices.section]
        alone = free[hadrons.event]
        bound = interacted(hadrons[~alone], a, generators["nucleus"])
        hadrons = Particles.join([hadrons[alone], bound])
    momentum = np.linalg.norm(kinematics.muon, axis=1)
    muons = Particles(
        np.arange(len(momentum)),
        np.full(len(momentum), MUON_KIND),
        (np.sqrt(momentum**2 + MUON**2) - MUON) * 1e3,
        kinematics.muon / momentum[:, None],
    )
    return Particles.join([muons, decayed(hadrons, generators["hadrons"])])


def _truth(detector: Geometry, vertices: Vertices, kinematics: Kinematics) -> Columns:
    momentum = np.linalg.norm(kinematics.muon, axis=1)
    return {
        "planecode": vertices.code,
        "segment": segment_of(vertices.code),
        "vtx_x": vertices.x,
        "vtx_y": vertices.y,
        "vtx_z": vertices.z,
        "E": kinematics.energy,
        "W": kinematics.W,
        "Q2": kinematics.Q2,
        "x": kinematics.Q2 / (2 * NUCLEON * kinematics.transfer),
        "y": kinematics.transfer / kinematics.energy,
        "muon_E": np.sqrt(momentum**2 + MUON**2),
        "muon_angle": np.arccos(np.clip(muon_cosine(kinematics.muon), -1, 1)),
        "process": kinematics.process,
        "target_z": detector.sections.z[vertices.section],
        "weight": np.ones(len(momentum)),
    }
