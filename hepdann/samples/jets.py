"""Toy b jets distributed like the ALEPH sample: Z → qq̄ events, two jets each, of known flavour.

``aleph.json`` is all that is known of that sample, written by benchmarks/aleph/fit_bjets.py from
33,968 simulated jets: of each flavour, with and without a lepton, the marginal distributions and
the Gaussian copula that ties them together. :data:`MISMODELLING` is all in which data differ from
MC.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .files import (
    DOMAINS,
    Columns,
    Domain,
    block_generators,
    check_request,
    joined_columns,
    write_trees,
)

INPUTS = ("prob_b", "spheri", "pt2rel", "multip", "bqvjet", "ptlrel")
TREE = "jets"
B_FRACTION = 0.226  # of ALEPH's simulated jets
NEGATIVE = 0.04  # share of MC events with a negative weight

_BLOCK = 25_000  # events, of two jets, drawn from one generator
_TYPES = dict.fromkeys((*INPUTS, "energy", "cTheta", "weight"), "f4") | {"run": "i4", "event": "i8"}
_BRANCHES: dict[str, dict[str, str]] = {
    "mc": _TYPES | {"isb": "i4"},
    "data": _TYPES,
    "truth": {"run": "i4", "event": "i8", "isb": "i4"},
}


@dataclass(frozen=True, eq=False)
class JetKind:
    """Jets of one flavour, with or without a lepton.

    Attributes:
        isb: 1 for b jets.
        lepton: whether a lepton was found in the jet.
        share: fraction of the jets of this flavour.
        spike: per column, the share of this kind that sits exactly in its spike.
        quantiles: per column, the quantiles of the others at ``SCORES``, in ``UNITS``; none where
            all sit in the spike.
        correlation: lower triangle of the copula's correlation matrix, row by row, no diagonal.
    """

    isb: int
    lepton: bool
    share: float
    spike: list[float]
    quantiles: list[list[int]]
    correlation: list[list[float]]


_ALEPH = json.loads(files(__package__).joinpath("aleph.json").read_text())
COLUMNS, SCORES, UNITS, SPIKES = (_ALEPH[key] for key in ("columns", "scores", "units", "spikes"))
KINDS = tuple(JetKind(**kind) for kind in _ALEPH["kinds"])


@dataclass(frozen=True)
class Mismodelling:
    """In what the data differ from the MC, and by how much. Spikes stay where they are.

    Attributes:
        b_fraction: fraction of b jets.
        light: factors on inputs of light jets. Impact parameters are measured worse than the MC
            says, so that jets look more displaced, light ones above all; and jets have more tracks.
        b: factors on inputs of b jets.
        lepton: factor on the share of jets with a lepton (identification efficiency).
        correlation: factors on correlations of the copula.
    """

    b_fraction: float = 0.216
    light: dict[str, float] = field(
        default_factory=lambda: {"prob_b": 1.45, "bqvjet": 1.35, "multip": 1.08}
    )
    b: dict[str, float] = field(
        default_factory=lambda: {"prob_b": 1.25, "bqvjet": 1.20, "multip": 1.08}
    )
    lepton: float = 0.92
    correlation: dict[tuple[str, str], float] = field(
        default_factory=lambda: {("bqvjet", "prob_b"): 0.85, ("multip", "pt2rel"): 0.75}
    )


MISMODELLING = Mismodelling()
_NONE = Mismodelling(B_FRACTION, {}, {}, 1.0, {})


@dataclass(frozen=True, eq=False)
class ToySample:
    """MC, data and the truth of the data, each as columns by branch name.

    Attributes:
        mc: the inputs, ``energy`` (GeV), ``cTheta``, ``weight`` (some negative), ``run``,
            ``event`` and the label ``isb``.
        data: the same branches but for ``isb``; every weight is 1.
        truth: ``run``, ``event`` and ``isb`` of the data, row by row.
    """

    mc: Columns
    data: Columns
    truth: Columns


def bjets(events: int = 40_000, seed: int = 0) -> ToySample:
    """Simulate b and light jets, MC and data.

    The same seed gives the same jets, and more events extend fewer.

    Returns:
        The sample.

    Raises:
        ConfigError: no events, or a negative seed.
    """
    check_request(events, seed)
    mc, data = (joined_columns([b for b, _ in _blocks(domain, events, seed)]) for domain in DOMAINS)
    blocks = {"mc": mc, "data": data, "truth": data}
    return ToySample(**{
        kind: {name: block[name].astype(type_) for name, type_ in _BRANCHES[kind].items()}
        for kind, block in blocks.items()
    })  # fmt: skip


def write_bjets(
    folder: str | Path,
    events: int = 40_000,
    seed: int = 0,
    truth: bool = False,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write :func:`bjets`, two jets an event, as trees ``jets``; see :func:`hepdann.samples.write`.

    The truth has, row by row, the ``run``, ``event`` and ``isb`` of the data.
    """
    check_request(events, seed)
    blocks = partial(_blocks, jets=events, seed=seed)
    return write_trees(folder, TREE, _BRANCHES, blocks, progress, events, truth=truth)


def _blocks(domain: Domain, jets: int, seed: int) -> Iterator[tuple[Columns, int]]:
    """The sample in blocks with their number of jets."""
    for start, rows, generator in block_generators(domain, jets, seed, 2 * _BLOCK):
        block = _block(domain, generator)
        index = start // 2 + np.repeat(np.arange(_BLOCK), 2)
        block["event"] = index + 1
        # Data of two seeds have different run numbers: a truth file of the other is found out.
        first = 10_000 + 1_000 * (seed % 1_000_000)
        block["run"] = np.ones_like(index) if domain == "mc" else first + index // 5_000
        yield {name: column[:rows] for name, column in block.items()}, rows


def _block(domain: Domain, generator: np.random.Generator) -> Columns:
    """One whole block of jets, drawn in a fixed order."""
    change = _NONE if domain == "mc" else MISMODELLING
    isb = np.repeat((generator.random(_BLOCK) < change.b_fraction).astype(np.int64), 2)
    draw = generator.random(2 * _BLOCK)
    share = {kind.isb: kind.share * change.lepton for kind in KINDS if kind.lepton}
    lepton = draw < np.where(isb == 1, share[1], share[0])
    normal = generator.standard_normal((2 * _BLOCK, len(COLUMNS)))
    values = np.empty_like(normal)
    for kind in KINDS:
        rows = (isb == kind.isb) & (lepton == kind.lepton)
        values[rows] = _jets_of(kind, normal[rows], change)
    columns: Columns = dict(zip(COLUMNS, values.round(4).T, strict=True))
    columns["isb"] = isb
    columns["cTheta"] = _directions(generator).round(4)
    sign = np.where(generator.random(_BLOCK) < NEGATIVE, -1.0, 1.0)
    weight = sign * generator.uniform(0.8, 1.2, _BLOCK) / (1 - 2 * NEGATIVE)
    columns["weight"] = np.repeat(weight if domain == "mc" else np.ones(_BLOCK), 2)
    return columns


def _jets_of(
    kind: JetKind, normal: NDArray[np.float64], change: Mismodelling
) -> NDArray[np.float64]:
    """Turn independent normal numbers into the columns of one kind of jet."""
    scores = normal @ _cholesky(kind, tuple(change.correlation.items())).T
    from scipy.interpolate import PchipInterpolator  # slow to import, and seldom needed
    from scipy.special import ndtr, ndtri

    factors = change.b if kind.isb else change.light
    values = np.empty_like(scores)
    for j, name in enumerate(COLUMNS):
        share, score = kind.spike[j], scores[:, j]
        if share == 1:
            values[:, j] = SPIKES[name]
            continue
        rank = ndtr(score)
        spiked = rank < share
        if share > 0:
            score = ndtri(np.where(spiked, 0.5, (rank - share) / (1 - share)))
        score = np.clip(score, SCORES[0], SCORES[-1])
        smooth = PchipInterpolator(SCORES, np.asarray(kind.quantiles[j]) * UNITS[name])
        values[:, j] = smooth(score) * factors.get(name, 1.0)
        if name == "multip":
            values[:, j] = _comb(values[:, j])
        if share > 0:
            values[spiked, j] = SPIKES[name]
    return values


def _comb(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gather values around multiples of a track's worth, as a count of tracks does; monotone."""
    track, sharpness = 0.0433, 1.5
    nearest = np.rint(x / track)
    off = 2 * (x / track - nearest)  # -1 to 1
    return (nearest + np.sign(off) * np.abs(off) ** sharpness / 2) * track


@cache
def _cholesky(
    kind: JetKind, changes: tuple[tuple[tuple[str, str], float], ...]
) -> NDArray[np.float64]:
    matrix = np.eye(len(COLUMNS))
    for i, row in enumerate(kind.correlation, start=1):
        matrix[i, :i] = matrix[:i, i] = row
    for (first, second), factor in changes:
        i, j = COLUMNS.index(first), COLUMNS.index(second)
        matrix[i, j] *= factor
        matrix[j, i] *= factor
    return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)


def _directions(generator: np.random.Generator) -> NDArray[np.float64]:
    """Directions cos θ of two jets nearly back to back, 1 + cos²θ within |cos θ| < 0.82."""
    edge = 0.82
    q = generator.uniform(-1, 1, _BLOCK) * (edge + edge**3 / 3)
    one = 2 * np.sinh(np.arcsinh(1.5 * q) / 3)  # solves c + c³/3 = q
    other = np.clip(-one + generator.normal(0, 0.03, _BLOCK), -0.93, 0.93)
    return np.stack([one, other], axis=1).ravel()
