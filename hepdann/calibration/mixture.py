"""Whether data are a mixture of the classes of MC: template fits of a score and of each feature.

Where data and MC differ by their class fractions alone, the templates of the classes fit the data
in every histogram. A class that MC lack, or a shift of one class, moves the fractions that are
fitted, and leaves the shapes wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..alignment.base import drawn
from ..alignment.fraction import Partition
from ..stats.granularity import common_granularity
from ..stats.reweighting import bin_edges, binned, boosted_trees, one_thread
from ..stats.two_sample import SIGNIFICANT
from ..tensors import Source, Target

Floats = NDArray[np.float64]
Bins = NDArray[np.intp]

_MOST = 30_000  # events of each side
_BINS = 20  # of a histogram, of equally many events
_FINE = 128  # bins of a feature that the classifier of the score sees
_UNEXPLAINED = 0.2  # share of the difference from which fractions are not what differs
_TURNS = 3  # of the template fit, whose variances depend on the fractions


@dataclass(frozen=True)
class Mixture:
    """How well other class fractions explain what is different in the data.

    Attributes:
        left: share of the difference that they leave: χ² less its degrees of freedom, summed over
            the histograms, at the best fractions of each over that at the fractions of MC.
        p_value: of the histogram that fits worst, times their number.
    """

    left: float
    p_value: float

    @property
    def explains(self) -> bool:
        """Whether the data are such a mixture, as far as can be seen."""
        return self.p_value >= SIGNIFICANT or self.left <= _UNEXPLAINED


def mixture_of(mc: Source, target: Target, *, seed: int = 0) -> Mixture:
    """Fit the templates of the classes to the data: a score of each class, and each feature.

    The score is that of boosted trees, of either half of the events by the MC of the other.

    Args:
        mc: labelled events, as a calibration maps them, at the fractions of MC.
        target: the data; no label of them is read.
        seed: of halves, trees and dither.
    """
    from scipy.special import chdtrc

    generator = np.random.default_rng([seed, 0xF8])
    mc, target = drawn(mc, _MOST, generator), drawn(target, _MOST, generator)
    x, y, _ = common_granularity(mc.features, target.features, generator)
    fine = bin_edges(x, _FINE)
    bins = [binned(side, fine) for side in (x, y)]
    make = partial(boosted_trees, seed, iterations=50, learning_rate=0.12, smallest=40)
    with one_thread():
        halved = Partition.of(mc, len(target), bins[0], make, generator)
        scores = [halved.probabilities(b, h) for b, h in zip(bins, halved.halves, strict=True)]
    both = [np.concatenate([s[:, 1:], z], axis=1) for s, z in zip(scores, (x, y), strict=True)]
    edges = bin_edges(np.concatenate(both), _BINS)
    columns = [binned(side, edges).astype(np.intp).T for side in both]
    classes = np.unique(mc.label)
    share = np.array([mc.weight[mc.label == c].sum(dtype=np.float64) for c in classes])
    excess, p_value, count = np.zeros(2), 1.0, 0
    for ours, theirs, inner in zip(*columns, edges, strict=True):
        size = len(inner) + 1
        if size <= len(classes):
            continue
        templates = [_histogram(ours, mc, mc.label == c, size) for c in classes]
        chi2 = _fitted(share / share.sum(), templates, _histogram(theirs, target, None, size))
        excess += chi2 - (size - 1, size - len(classes))
        p_value, count = min(p_value, float(chdtrc(size - len(classes), chi2[1]))), count + 1
    return Mixture(float(excess[1] / max(excess[0], 1.0)), min(1.0, count * p_value))


def _histogram(bins: Bins, events: Target, rows: NDArray[np.bool_] | None, size: int) -> Floats:
    """(2, size) shares of the weight in each bin, and variances; rows of an event go together."""
    inside = slice(None) if rows is None else rows
    weight = np.asarray(events.weight[inside], dtype=np.float64)
    event = np.unique(events.event_id[inside], return_inverse=True)[1]
    cell, where = np.unique(event * size + bins[inside], return_inverse=True)
    summed = np.bincount(where, weight)
    made = [np.bincount(cell % size, summed**power, size) for power in (1, 2)]
    return np.asarray(np.stack(made) / weight.sum() ** np.array([[1], [2]]))


def _fitted(fractions: Floats, templates: list[Floats], data: Floats) -> Floats:
    """(2,) χ² of the templates at these fractions, and at the best ones."""
    shape, variance = np.stack(templates, axis=1)

    def chi2(value: Floats) -> tuple[float, Floats]:
        inverse = np.maximum(data[1] + value**2 @ variance, 1e-15) ** -0.5
        return float(np.sum((data[0] - value @ shape) ** 2 * inverse**2)), inverse

    first, root = chi2(fractions)
    best = first
    for _ in range(_TURNS):
        apart = (shape[1:] - shape[0]) * root
        rest = np.linalg.lstsq(apart.T, (data[0] - shape[0]) * root, rcond=None)[0]
        best, root = chi2(np.array([1 - rest.sum(), *rest]))
    return np.array([first, best])
