"""Cumulative distributions of MC and data along the features and along random directions.

Two samples agree if they agree along every direction (Cramér and Wold, 1936). The distance is the
mean squared difference of the cumulative distributions, as of Anderson and Darling (1952), over the
features and some random directions. It is quadratic in the class fractions, and smooth in the
parameters of a map, because each event is shared between two neighbouring knots.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from ..compiled import function
from ..errors import HepdannError

Floats = NDArray[np.float64]

_OUTSIDE = 0.002  # share of the data beyond the outer knots, on either side
_GAP = 0.02  # least distance of knots, in units of the standard deviation
_TAIL = 0.01  # added to F(1 - F): the far tails do not dominate
_LEAST = 50  # events of data
_KNOTS = 64  # of each cumulative distribution


class Marginals:
    """The data's distribution along each direction, and where the events of a sample lie in it.

    (N, F) features of the data have no missing values, their (N,) weights are of either sign. With
    ``pairs`` half of the random directions, which stand beside the features, are sums and
    differences of two features: they see most of what these two do together.

    Attributes:
        directions: (F, P), in units of the data's standard deviations.
        cdf: (P, B) of the data at the knots.
        root: (P, B) square root of the weight of each difference; 0 behind the last knot.

    Raises:
        HepdannError: too few events.
    """

    def __init__(
        self,
        features: Floats,
        weight: Floats,
        *,
        directions: int = 24,
        seed: int = 0,
        pairs: bool = False,
    ) -> None:
        if len(features) < _LEAST or not weight.sum() > 0:
            raise HepdannError(
                f"{len(features)} events of data are too few for a calibration",
                mend=f"it needs {_LEAST}, and a positive sum of their weights",
            )
        width = features.shape[1]
        generator = np.random.default_rng([seed, 0xCA])
        random = generator.standard_normal((directions if width > 1 else 0, width)) / width**0.5
        if pairs and width > 1:
            first = np.array(list(itertools.combinations(range(width), 2)))
            chosen = generator.permutation(2 * len(first))[: directions // 2]
            random[: len(chosen)] = 0.0
            for row, number in enumerate(chosen):
                i, j = first[number // 2]
                random[row, [i, j]] = 0.5**0.5, (-1) ** number * 0.5**0.5
        unit = features.std(axis=0)
        unit[unit == 0] = 1.0
        self.directions = np.concatenate([np.eye(width), random]).T / unit[:, None]
        along = self.directions.T @ features.T
        spread = along.std(axis=1)
        self._step = np.where(spread > 0, 0.5 * _GAP * spread, 1.0)
        places = [_knots(x / step) for x, step in zip(along, self._step, strict=True)]
        self._count = max(map(len, places))
        self._tables(places)
        self.features, self.weight = features, weight
        self.cdf = self.distributions(features, weight)[0]
        used = np.array([np.arange(self._count) < len(k) - 1 for k in places])
        variance = self.cdf * (1 - self.cdf) + _TAIL
        self.root = np.where(used, variance**-0.5, 0.0) / used.sum() ** 0.5
        self._fall = np.zeros((*self.root.shape, 1), np.float32)
        for row, k, step, root in zip(self._fall, places, self._step, self.root, strict=True):
            row[: len(k) - 1, 0] = -root[: len(k) - 1] / (np.diff(k) * step)

    def _tables(self, places: list[NDArray[np.intp]]) -> None:
        """The line that gives the positions in each step of each direction: knots lie on steps."""
        lengths = np.array([k[-1] - k[0] + 1 for k in places])
        self._ends = np.array([[k[0], k[-1] - k[0]] for k in places], dtype=np.float64)
        self._first = np.cumsum(lengths) - lengths
        lines: list[Floats] = []
        for k in places:
            rise = 1.0 / np.diff(k)
            knot = np.repeat(np.arange(len(rise)), np.diff(k))
            start = knot - (k[knot] - k[0]) * rise[knot]
            lines += [np.stack([rise[knot], start], axis=1), np.array([[0.0, len(rise)]])]
        self._lines = np.concatenate(lines)

    def distributions(
        self,
        features: Floats,
        weight: Floats,
        label: NDArray[np.integer] | None = None,
        classes: int = 1,
    ) -> Floats:
        """Cumulative distributions (C, P, B) of each class; 0 of one without events.

        The (n, F) events have weights (n,) of either sign; without labels (n,) they are of one
        class.
        """
        return _cumulative(self._sums(*self._along(features), weight, label, classes)[0])

    def placed(self, features: Floats, weight: Floats) -> tuple[Floats, NDArray[np.int16]]:
        """The distribution (P, B) of (n, F) events, and for :meth:`moved` the knots below them.

        These are (P, n); -1 of an event before the first, where it moves nothing.
        """
        sums, below = self._sums(*self._along(features), weight)
        return _cumulative(sums)[0], below

    def apart(self, row: int, along: Floats, weight: Floats) -> Floats:
        """Distances (m,) from the data along a row's direction, of samples (m, n) of events."""
        rows = np.full(len(along), row)
        (f,) = _cumulative(self._sums(along / self._step[row], rows, weight)[0])
        return np.asarray((((f - self.cdf[row]) * self.root[row]) ** 2).sum(axis=1))

    def moved(self, below: NDArray[np.int16], columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Derivatives (P, B, K) of weighted differences, where events move along each direction.

        ``below`` (P, n) is that of :meth:`placed`; ``columns`` (n, K) are how far each of K
        parameters, a multiple of 8, moves an event along any direction, times its share of the
        weights.
        """
        sums = _between(below, columns, self._count)
        sums *= self._fall
        return sums

    def _along(self, features: Floats) -> tuple[Floats, NDArray[np.intp]]:
        """(P, n) events along each direction, in steps, and the rows of the directions."""
        along = (self.directions.T / self._step[:, None]) @ features.T
        return along, np.arange(len(along))

    def _located(self, along: Floats, rows: NDArray[np.intp]) -> Floats:
        """Positions between the knots of (R, n) events along directions, in units of knots."""
        low, last = self._ends[rows].T[..., None]
        step = np.clip(along - low, 0.0, last)
        slope, start = self._lines[step.astype(np.intp) + self._first[rows, None]].T
        return np.asarray(slope.T * step + start.T)

    def _sums(
        self,
        along: Floats,
        rows: NDArray[np.intp],
        weight: Floats,
        label: NDArray[np.integer] | None = None,
        classes: int = 1,
    ) -> tuple[Floats, NDArray[np.int16]]:
        """What ``marginals.c`` sums up of (R, n) events along directions, in steps."""
        label = np.zeros(len(weight), np.int64) if label is None else label
        sums = np.zeros((classes, len(rows), self._count, 2))
        below = np.empty(along.shape, np.int16)
        wide, whole = np.float64, np.int64
        types = (wide, int, int, whole, wide, whole, wide, wide, whole, int, wide, np.int16)
        compute = function("marginals", *types)
        if compute is not None:
            compute(
                along, *along.shape, rows, self._ends, self._first, self._lines, weight,
                label.astype(whole), self._count, sums, below,
            )  # fmt: skip
            return sums, below
        positions = self._located(along, rows)
        knot = positions.astype(np.intp)
        flat = (
            knot + np.arange(len(rows))[:, None] * self._count + label * sums[0, ..., 0].size
        ).ravel()
        for n, part in enumerate((np.ones_like(positions), positions - knot)):
            sums[..., n] = np.bincount(flat, (part * weight).ravel(), sums[..., 0].size).reshape(
                sums.shape[:-1]
            )
        below[:] = np.where(positions > 0, knot, -1)
        return sums, below

    def response(self, operator: Floats, features: Floats) -> Floats:
        """(K, n) what each of (n, F) events adds to K functions Σ operator · F of the distribution.

        The operator is (K, P, B); the functions are the weighted means of what is returned.
        """
        from scipy.sparse import csr_array

        positions = self._located(*self._along(features)).T
        below = np.minimum(positions.astype(np.intp), self._count - 2)
        part = positions - below
        below += np.arange(below.shape[1]) * self._count
        parts, at = (np.stack(z, axis=2).ravel() for z in ((1 - part, part), (below, below + 1)))
        table = csr_array((parts, at, np.arange(len(below) + 1) * 2 * below.shape[1]))
        # an event at a knot counts in F at that knot and all further ones
        tail = np.cumsum(operator[:, :, ::-1], axis=2)[:, :, ::-1].reshape(len(operator), -1)
        return np.asarray((table @ tail.T[: table.shape[1]]).T)


def _between(
    below: NDArray[np.int16], columns: NDArray[np.float32], knots: int
) -> NDArray[np.float32]:
    """Sums (P, B, K) of columns (n, K) over the events that are above each knot, below the next."""
    sums = np.zeros((len(below), knots, columns.shape[1]), np.float32)
    compute = function("moved", np.int16, int, int, int, np.float32, int, np.float32)
    if compute is not None:
        compute(below, *below.shape, knots, columns, columns.shape[1] // 8, sums)
        return sums
    from scipy.sparse import csc_array

    at = np.maximum(below, 0) + np.arange(len(below))[:, None] * knots
    inside = (below >= 0).astype(np.float32)
    ends = np.arange(0, inside.size + 1, len(below))
    size = len(below) * knots, len(columns)
    table = csc_array((inside.T.ravel(), at.T.ravel(), ends), size)
    sums += (table @ columns).reshape(sums.shape)
    return sums


def _cumulative(sums: Floats) -> Floats:
    """(..., B) at each knot, of what is summed between them."""
    # an event between two knots counts in part at the one, and wholly from the other on
    total = sums[..., 0].cumsum(axis=-1) - sums[..., 1]
    whole = total[..., -1:]
    return np.asarray(np.divide(total, whole, np.zeros_like(total), where=whole > 0))


def _knots(x: Floats) -> NDArray[np.intp]:
    """Quantiles of x, which is in units of half the least distance, rounded and apart by that."""
    at = np.linspace(_OUTSIDE, 1 - _OUTSIDE, _KNOTS) * (len(x) - 1)
    quantiles = np.rint(np.interp(at, np.arange(len(x)), np.sort(x)))
    kept = [int(quantiles[0]) - 2]
    for value in quantiles.astype(np.intp):
        if value - kept[-1] >= 2:
            kept.append(int(value))
    return np.array([*kept, kept[-1] + 2])
