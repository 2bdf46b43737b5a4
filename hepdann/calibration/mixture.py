"""Whether calibrated MC explain the data: means of a score, of features, and of both together.

Where calibrated MC and data differ by their class fractions alone, every mean over the data is that
over the classes, at the best fractions. A class that MC lack, or a shift of one class, moves the
fractions that are fitted, and leaves features wrong at a value of the score. A map of all events
alike mends the features by themselves, and not that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray

from ..alignment.base import drawn
from ..alignment.fraction import Partition
from ..stats.granularity import common_granularity
from ..stats.reweighting import bin_edges, binned, boosted_trees
from ..stats.threads import side_by_side
from ..stats.two_sample import SIGNIFICANT
from ..tensors import Source, Target
from .fit import centred, of_events

Floats = NDArray[np.float64]

_MOST = 30_000  # events of each side
_FINE = 128  # bins of a feature that the classifier of the score sees, and its ranks
_POLYNOMIALS = 3  # Legendre polynomials of a score, and of the rank of a feature
_JOINT = 2  # of the rank, beside a score and its square
_EVENTS = 40  # at least so many for each function, of those that are compared together
_UNEXPLAINED = 0.05  # share of the difference from which something else differs too
_TURNS = 3  # of the fit of fractions, on which the covariance depends
_ALIKE = 1e-12  # variance of a mean below which a function says nothing, as a score of one class
_CONSTANT = 1e-8  # of the largest variance, below which a combination of functions is constant


@dataclass(frozen=True)
class Mixture:
    """How well a map and class fractions explain what is different in the data.

    Attributes:
        chi2: of what they leave.
        left: share of the difference that they leave: χ² less its degrees of freedom, over that of
            MC as they are.
        p_value: of what they leave.
    """

    chi2: float
    left: float
    p_value: float

    @property
    def explains(self) -> bool:
        """Whether nothing else differs, as far as can be seen."""
        return self.p_value >= SIGNIFICANT or self.left <= _UNEXPLAINED


def mixture_of(mapped: Source, mc: Source, target: Target, *, held: bool, seed: int = 0) -> Mixture:
    """Compare means over calibrated MC, and over MC as they are, with those over the data.

    The functions are Legendre polynomials of the rank of each feature, of a score of each class,
    and products of both; their differences are combined with their covariance (Hotelling's T²). The
    score is that of boosted trees, of either half of the events by the MC of the other. A free map
    was fitted to the features by themselves: what counts behind it are the others, given these.

    Events are ``mapped`` at the fractions of a calibration, which are kept where they are ``held``,
    as behind a free map; ``mc`` are the same events as they are. No label of the data is read.
    """
    from scipy.special import chdtrc

    generator = np.random.default_rng([seed, 0xF8])
    target = drawn(target, _MOST, generator)
    # the same rows of both
    sides = [drawn(side, _MOST, np.random.default_rng([seed, 0xF9])) for side in (mapped, mc)]
    pairs = [common_granularity(side.features, target.features, generator)[:2] for side in sides]
    edges = bin_edges(pairs[0][0], _FINE)
    bins = [[binned(table, edges) for table in pair] for pair in pairs]
    make = partial(boosted_trees, seed=seed, iterations=50, learning_rate=0.12, smallest=40)
    trees = Partition.of(sides[0], len(target), bins[0][0], make, generator)
    tables = [table for pair in bins for table in zip(pair, trees.halves, strict=True)]
    calls = [partial(trees.probabilities, *table) for table in tables]
    scores = [score[:, 1:] for score in side_by_side(calls)]
    width, further = len(edges), len(mc.classes) - 1
    each = _POLYNOMIALS + 2 * _JOINT * further
    room = min(len(sides[0]), len(target)) / _EVENTS - _POLYNOMIALS * further
    blocks = np.array_split(np.arange(width), math.ceil(width * each / max(room, each)))
    total, excess, p_value = 0.0, np.zeros(2), 1.0
    for columns in blocks:
        last = np.maximum(1, [len(edges[column]) for column in columns])
        for n, side in enumerate(sides):
            values = [
                _functions(score, 2 * b[:, columns] / last - 1)
                for score, b in zip(scores[2 * n : 2 * n + 2], bins[n], strict=True)
            ]
            given = _POLYNOMIALS * len(columns) if held and n == 0 else 0
            chi2, freedom = _compared(
                values[0], side, values[1], target, held=held or n == 1, given=given
            )
            excess[n] += chi2 - freedom
            if n == 0:
                total += chi2
                p_value = min(p_value, len(blocks) * float(chdtrc(freedom, chi2)))
    return Mixture(total, float(excess[0] / max(excess[1], 1.0)), p_value)


def _functions(score: Floats, rank: Floats) -> Floats:
    """(N, K) functions of ranks (N, F) from -1 to 1, then of scores (N, C - 1), then of both."""
    alone = [legvander(z, _POLYNOMIALS)[..., 1:] for z in (rank, 2 * score - 1)]
    powers = np.stack([score, score**2], axis=-1)
    both = np.einsum("ncp,nfj->ncpfj", powers, alone[0][..., :_JOINT])
    return np.concatenate([z.reshape(len(score), -1) for z in (*alone, both)], axis=1)


def _compared(
    of_mc: Floats, mc: Source, of_target: Floats, target: Target, *, held: bool, given: int
) -> tuple[float, int]:
    """χ² of the means at the fractions of MC, or at the best ones, and degrees of freedom.

    It is that of all functions but the first so many, given these.
    """
    weight = np.asarray(mc.weight, dtype=np.float64)
    rows = [mc.label == c for c in np.unique(mc.label)]
    rows = [row for row in rows if weight[row].sum() > 0]  # a fitted fraction may be none
    share = np.array([weight[row].sum() for row in rows]) / weight.sum()
    moments = [_moments(of_mc[row], weight[row], mc.event_id[row]) for row in rows]
    mean, covariance = (np.stack(part) for part in zip(*moments, strict=True))
    goal, spread = _moments(of_target, np.asarray(target.weight, np.float64), target.event_id)

    def whitened(share: Floats, first: int | None = None) -> Floats:
        """What makes the first differences at these fractions independent, of unit variance."""
        total = (spread + np.tensordot(share**2, covariance, 1))[:first, :first]
        unit = np.sqrt(np.maximum(np.diag(total), _ALIKE))
        values, vectors = np.linalg.eigh(total / np.outer(unit, unit))
        varies = values > _CONSTANT * values[-1]
        return np.asarray((vectors[:, varies] / np.sqrt(values[varies])).T / unit)

    root = whitened(share)
    for _ in range(0 if held or len(rows) < 2 else _TURNS):
        rest = np.linalg.lstsq(root @ (mean[1:] - mean[0]).T, root @ (goal - mean[0]))[0]
        rest = np.clip(rest, 0.0, 1.0)
        rest /= max(1.0, rest.sum())
        share = np.array([1 - rest.sum(), *rest])
        root = whitened(share)
    apart = goal - share @ mean
    left, known = root @ apart, whitened(share, given) @ apart[:given] if given else np.zeros(0)
    freedom = len(left) - len(known) - (0 if held else len(rows) - 1)
    return float(left @ left - known @ known), max(1, freedom)


def _moments(values: Floats, weight: Floats, event_id: NDArray[np.uint64]) -> tuple[Floats, Floats]:
    """Weighted means of functions (N, K), and their covariance; rows of an event go together."""
    parts = of_events(centred(values.T, weight), event_id)
    return weight @ values / weight.sum(), parts @ parts.T
