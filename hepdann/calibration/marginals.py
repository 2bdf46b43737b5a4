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

from ..errors import HepdannError

Floats = NDArray[np.float64]

_OUTSIDE = 0.002  # share of the data beyond the outer knots, on either side
_GAP = 0.02  # least distance of knots, in units of the standard deviation
_TAIL = 0.01  # added to F(1 - F): the far tails do not dominate
_LEAST = 50  # events of data


class Marginals:
    """The data's distribution along each direction, and where the events of a sample lie in it.

    Args:
        features: (N, F) of the data, without missing values.
        weight: (N,) of the data, of either sign.
        directions: random directions beside the features themselves.
        knots: of each cumulative distribution.
        seed: of the directions.
        pairs: half of the random directions are sums and differences of two features, which see
            most of what these two do together.

    Attributes:
        directions: (F, P), in units of the data's standard deviations.
        cdf: (P, B) of the data at the knots.
        root: (P, B) square root of the weight of each difference; 0 behind the last knot.
        positions: (P, N) of the data's events.

    Raises:
        HepdannError: too few events.
    """

    def __init__(
        self,
        features: Floats,
        weight: Floats,
        *,
        directions: int = 24,
        knots: int = 64,
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
        self._step = np.where(along.std(axis=1) > 0, 0.5 * _GAP * along.std(axis=1), 1.0)
        places = [_knots(x / step, knots) for x, step in zip(along, self._step, strict=True)]
        self._count = max(map(len, places))
        self._tables(places)
        self.positions = self.locate(features)
        self.weight = weight
        self.cdf = self.distribution(self.positions, weight)
        used = np.array([np.arange(self._count) < len(k) - 1 for k in places])
        variance = self.cdf * (1 - self.cdf) + _TAIL
        self.root = np.where(used, variance**-0.5, 0.0) / used.sum() ** 0.5

    def _tables(self, places: list[NDArray[np.intp]]) -> None:
        """The line that gives the positions in each step of each direction: knots lie on steps."""
        lengths = [int(k[-1] - k[0]) + 1 for k in places]
        self._low = np.array([k[0] for k in places], dtype=np.float64)[:, None]
        self._last = np.array(lengths, dtype=np.float64)[:, None] - 1
        self._first = np.cumsum([0, *lengths[:-1]])[:, None]
        slope, start = [], []
        for k in places:
            rise = 1.0 / np.diff(k)
            knot = np.repeat(np.arange(len(rise)), np.diff(k))
            slope.append([*rise[knot], 0.0])
            start.append([*(knot - (k[knot] - k[0]) * rise[knot]), len(rise)])
        self._slope, self._start = np.concatenate(slope), np.concatenate(start)
        self._rise = np.zeros((len(places), self._count))
        for row, k, step in zip(self._rise, places, self._step, strict=True):
            row[: len(k) - 1] = 1.0 / (np.diff(k) * step)
        self._row = np.arange(len(places))[:, None] * self._count

    def locate(self, features: Floats) -> Floats:
        """Positions (P, n) of events between the knots, in units of knots."""
        return self._located(self.directions.T @ features.T, slice(None))

    def _located(self, along: Floats, rows: slice) -> Floats:
        along = along / self._step[rows, None]
        along -= self._low[rows]
        np.clip(along, 0.0, self._last[rows], out=along)
        cell = along.astype(np.intp)
        cell += self._first[rows]
        along *= self._slope.take(cell)
        along += self._start.take(cell)
        return along

    def apart(self, row: int, along: Floats, weight: Floats) -> Floats:
        """Distances (m,) of m samples from the data in one direction.

        Args:
            row: of the direction.
            along: (m, n) events of each sample along it.
            weight: (n,) of the events.
        """
        rows = slice(row, row + 1)
        f = self.distribution(self._located(along, rows), weight)
        return np.asarray((((f - self.cdf[row]) * self.root[row]) ** 2).sum(axis=1))

    def distribution(self, positions: Floats, weight: Floats) -> Floats:
        """Cumulative distribution (P, B) at the knots of events at these positions."""
        return np.asarray(self.distributions(positions, weight, None, 1)[0])

    def distributions(
        self, positions: Floats, weight: Floats, label: NDArray[np.integer] | None, classes: int
    ) -> Floats:
        """Cumulative distributions (C, P, B) of each class; 0 of one without events.

        Args:
            positions: (P, n) of the events.
            weight: (n,) of either sign.
            label: (n,) class; ``None`` of a single one.
            classes: their number C.
        """
        shape = (classes, len(positions), self._count)
        below = positions.astype(np.intp)
        share = positions - below
        share *= weight
        below += np.arange(shape[1])[:, None] * self._count
        if label is not None:
            below += label * (shape[1] * self._count)
        flat, size = below.ravel(), classes * shape[1] * self._count
        mass = np.bincount(flat, np.broadcast_to(weight, below.shape).ravel(), size)
        # an event between two knots counts in part at the one, and wholly from the other on
        total = mass.reshape(shape).cumsum(axis=2)
        total -= np.bincount(flat, share.ravel(), size).reshape(shape)
        whole = total[..., -1:]
        return np.asarray(np.divide(total, whole, np.zeros_like(total), where=whole > 0))

    def moved(self, positions: Floats, weight: Floats, columns: Floats) -> Floats:
        """Derivatives (P, B, K) of the distributions, where events move along each direction.

        Args:
            positions: (P, n) of the events.
            weight: (n,) whose sum is 1.
            columns: (n, K) how far each of K parameters moves an event along any direction.
        """
        from scipy.sparse import csc_array

        p, n = positions.shape
        below = positions.astype(np.intp)
        rise = self._rise.take(below + self._row)  # 0 behind the last knot
        rise[positions <= 0] = 0.0
        below += self._row
        ends = np.arange(0, n * p + 1, p)
        value = (rise * -weight).T.ravel()
        table = csc_array((value, below.T.ravel(), ends), shape=(self._rise.size, n))
        return np.asarray(table @ columns).reshape(*self._rise.shape, -1)

    def response(self, operator: Floats, positions: Floats) -> Floats:
        """What each event adds to linear functions of the distribution.

        Args:
            operator: (K, P, B) coefficients of K functions Σ operator · F.
            positions: (P, n) of n events.

        Returns:
            (K, n); the functions are the weighted means of these.
        """
        below, share = _split(positions, self._count)
        # an event at a knot counts in F at that knot and all further ones
        tail = np.cumsum(operator[:, :, ::-1], axis=2)[:, :, ::-1]
        row = np.arange(len(positions))[:, None]
        added = tail[:, row, below] * (1 - share) + tail[:, row, below + 1] * share
        return np.asarray(added.sum(axis=1))


def _split(positions: Floats, count: int) -> tuple[NDArray[np.intp], Floats]:
    below = np.minimum(positions.astype(np.intp), count - 2)
    return below, positions - below


def _knots(x: Floats, count: int) -> NDArray[np.intp]:
    """Quantiles of x, which is in units of half the least distance, rounded and apart by that."""
    quantiles = np.rint(np.quantile(x, np.linspace(_OUTSIDE, 1 - _OUTSIDE, count)))
    kept = [int(quantiles[0]) - 2]
    for value in quantiles.astype(np.intp):
        if value - kept[-1] >= 2:
            kept.append(int(value))
    return np.array([*kept, kept[-1] + 2])
