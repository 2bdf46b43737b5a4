"""Jets as bags of constituents, whose exact likelihood ratio is known.

Given the class, the constituents of a jet are independent of each other and their number is that of
a Poisson law, so that the likelihood ratio of a jet is a product over them: no network does better.
The classes differ little in any mean; they differ in how the p_T of a constituent goes with its
distance from the axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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

TREE = "jets"
MULTIPLICITY = (20.0, 22.0)  # mean number of constituents of background and signal
DISPLACED = (0.06, 0.09)  # share of constituents with a large impact parameter

_BLOCK = 5_000  # jets drawn from one generator
_CORRELATION = 0.45  # of p_T and distance: negative in the signal, positive in the background
_LOG_PT, _LOG_R = (1.0, 0.8), (-2.0, 0.6)  # mean and width of ln(p_T / GeV) and ln ΔR
_TAIL = 6.0  # scale of large impact parameters, in units of the resolution
_FIELDS = ("pt", "eta", "phi", "d0")
_SUMMARIES = ("jet_eta", "jet_phi", "sum_pt", "mean_pt", "mean_dr", "mean_d0")
_SCALARS = dict.fromkeys(_SUMMARIES, "f4") | {"run": "i4", "event": "i8"}
_BRANCHES = {
    "mc": _SCALARS | {"is_signal": "i4"},
    "data": _SCALARS,
    "truth": {"run": "i4", "event": "i8", "is_signal": "i4"},
}
_RECORDS = {"constituent": "{" + ", ".join(f"{name}: float32" for name in _FIELDS) + "}"}


@dataclass(frozen=True)
class Response:
    """In what the constituents of data differ from those of MC.

    Attributes:
        missing: share of the constituents that are lost, wherever they are.
        pt_scale: factor on their p_T.
        dead: share of the circle in φ in which none is seen; it begins at φ = 0.
    """

    missing: float = 0.1
    pt_scale: float = 0.5
    dead: float = 0.05


_PERFECT = Response(0.0, 1.0, 0.0)


def constituent_jets(
    events: int, seed: int = 0, domain: Domain = "mc", response: Response | None = None
) -> tuple[Columns, Columns]:
    """Draw jets.

    The same seed gives the same jets, and more events extend fewer. Data are other jets than MC,
    seen with another response, or with the one that is given.

    Returns:
        Columns (N,) of the jets, ``is_signal`` and ``n_constituent`` among them; and those of all
        their constituents, jet after jet: ``pt`` in GeV, ``eta``, ``phi``, and the impact
        parameter ``d0`` in units of its resolution.
    """
    blocks = list(_blocks(response or Response(), events, seed, domain))
    return joined_columns([jets for jets, _ in blocks]), joined_columns(
        [parts for _, parts in blocks]
    )


def log_likelihood_ratio(jets: Mapping[str, Any], constituents: Mapping[str, Any]) -> Any:
    """(N,) logarithm of p(jet | signal) / p(jet | background) of jets as MC has them."""
    count = np.asarray(jets["n_constituent"], np.int64)
    axis = [
        np.repeat(np.asarray(jets[f"jet_{name}"], np.float64), count) for name in ("eta", "phi")
    ]
    distance = np.hypot(
        constituents["eta"] - axis[0],
        np.remainder(constituents["phi"] - axis[1] + np.pi, 2 * np.pi) - np.pi,
    )
    with np.errstate(divide="ignore"):  # one on the axis itself
        r = (np.log(distance) - _LOG_R[0]) / _LOG_R[1]
    pt = (np.log(constituents["pt"]) - _LOG_PT[0]) / _LOG_PT[1]
    correlated = _CORRELATION * np.tanh(pt) * np.tanh(r)
    ratio = np.log1p(-correlated) - np.log1p(correlated)
    core = np.exp(-0.5 * np.square(constituents["d0"])) / np.sqrt(2 * np.pi)
    tail = np.exp(-np.abs(constituents["d0"]) / _TAIL) / (2 * _TAIL)
    background, signal = ((1 - share) * core + share * tail for share in DISPLACED)
    ratio += np.log(signal / background)
    jet = np.repeat(np.arange(len(count)), count)
    poisson = count * np.log(MULTIPLICITY[1] / MULTIPLICITY[0]) + MULTIPLICITY[0] - MULTIPLICITY[1]
    return poisson + np.bincount(jet, ratio, minlength=len(count))


def write_jets(
    folder: str | Path,
    events: int = 40_000,
    seed: int = 0,
    truth: bool = False,
    *,
    progress: Callable[[int, int], None] | None = None,
    **options: float,
) -> list[Path]:
    """Write :func:`constituent_jets` as trees ``jets``; see :func:`hepdann.samples.write`.

    Options are those of :class:`Response`, for the data.
    """
    check_request(events, seed)
    response = replace(Response(), **options)

    def blocks(domain: Domain) -> Iterator[tuple[dict[str, Any], int]]:
        import awkward as ak

        for jets, constituents in _blocks(response, events, seed, domain):
            records = ak.unflatten(ak.zip(constituents), jets["n_constituent"])
            yield jets | {"constituent": records}, len(jets["run"])

    return write_trees(
        folder, TREE, _BRANCHES, blocks, progress, events, truth=truth, records=_RECORDS
    )


def _blocks(
    response: Response, events: int, seed: int, domain: Domain
) -> Iterator[tuple[Columns, Columns]]:
    """Blocks of jets, and of their constituents."""
    for start, rows, generator in block_generators(domain, events, seed, _BLOCK):
        detector = response if domain == "data" else _PERFECT
        jets, constituents = _draw(generator, detector, DOMAINS.index(domain) + 1, start)
        kept = int(jets["n_constituent"][:rows].sum())
        cut = {name: values[:rows] for name, values in jets.items()}
        yield cut, {name: values[:kept] for name, values in constituents.items()}


def _draw(
    generator: np.random.Generator, response: Response, run: int, first: int
) -> tuple[Columns, Columns]:
    """A block of jets and their constituents, as a detector with this response sees them."""
    label = generator.integers(0, 2, _BLOCK)
    count = generator.poisson(np.take(MULTIPLICITY, label))
    jet = np.repeat(np.arange(_BLOCK), count)
    total = len(jet)
    pt, r = generator.standard_normal((2, total))
    sign = np.where(label[jet] == 1, -1.0, 1.0)
    keep = 0.5 * (1 + sign * _CORRELATION * np.tanh(pt) * np.tanh(r))
    r = np.where(generator.random(total) < keep, r, -r)  # with a density of φφ (1 ± c tanh tanh)
    distance = np.exp(_LOG_R[0] + _LOG_R[1] * r)
    angle = generator.uniform(-np.pi, np.pi, total)
    axis = generator.uniform(-1.5, 1.5, _BLOCK), generator.uniform(-np.pi, np.pi, _BLOCK)
    eta = axis[0][jet] + distance * np.cos(angle)
    phi = np.remainder(axis[1][jet] + distance * np.sin(angle) + np.pi, 2 * np.pi) - np.pi
    displaced = generator.random(total) < np.take(DISPLACED, label)[jet]
    d0 = np.where(displaced, generator.laplace(0, _TAIL, total), generator.standard_normal(total))
    detected = generator.random(total) >= response.missing
    detected &= ~((phi >= 0) & (phi < 2 * np.pi * response.dead))
    values = {
        "pt": np.exp(_LOG_PT[0] + _LOG_PT[1] * pt) * response.pt_scale,
        "eta": eta,
        "phi": phi,
    }
    constituents = {n: v[detected].astype(np.float32) for n, v in (values | {"d0": d0}).items()}
    jet, distance = jet[detected], distance[detected]
    count = np.bincount(jet, minlength=_BLOCK)

    def mean(of: NDArray[Any]) -> NDArray[Any]:
        return np.bincount(jet, of, minlength=_BLOCK) / np.maximum(count, 1)

    mean_pt = mean(constituents["pt"])
    return {
        "jet_eta": axis[0],
        "jet_phi": axis[1],
        "n_constituent": count,
        "sum_pt": count * mean_pt,
        "mean_pt": mean_pt,
        "mean_dr": mean(distance),
        "mean_d0": mean(np.abs(constituents["d0"])),
        "run": np.full(_BLOCK, run),
        "event": first + np.arange(_BLOCK),
        "is_signal": label,
    }, constituents
