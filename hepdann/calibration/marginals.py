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

__all__ = ["Marginals"]

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
        along = features @ self.directions
        self._knots = [_knots(column, knots) for column in along.T]
        self._count = max(map(len, self._knots))
        self.positions = self.locate(features)
        self.weight = weight
        self.cdf = self.distribution(self.positions, weight)
        used = np.array([np.arange(self._count) < len(k) - 1 for k in self._knots])
        variance = self.cdf * (1 - self.cdf) + _TAIL
        self.root = np.where(used, variance**-0.5, 0.0) / used.sum() ** 0.5

    def locate(self, features: Floats) -> Floats:
        """Positions (P, n) of events between the knots, in units of knots."""
        along = features @ self.directions
        return np.stack(
            [np.interp(x, k, np.arange(len(k))) for x, k in zip(along.T, self._knots, strict=True)]
        )

    def distribution(self, positions: Floats, weight: Floats) -> Floats:
        """Cumulative distribution (P, B) at the knots of events at these positions."""
        p, b = len(positions), self._count
        below, share = _split(positions, b)
        flat = (below + np.arange(p)[:, None] * b).ravel()
        mass = np.bincount(flat, (weight * (1 - share)).ravel(), p * b)
        mass += np.bincount(flat + 1, (weight * share).ravel(), p * b)
        total = mass.reshape(p, b).cumsum(axis=1)
        return np.asarray(total / total[:, -1:])

    def moved(self, features: Floats, weight: Floats, columns: Floats) -> Floats:
        """Derivatives (P, B, K) of the distributions, where events move along each direction.

        Args:
            features: (n, F) of the events.
            weight: (n,) whose sum is 1.
            columns: (n, K) how far each of K parameters moves an event along any direction.
        """
        from scipy.sparse import csr_array

        along = features @ self.directions
        sums = np.zeros((along.shape[1], self._count, columns.shape[1]))
        for p, knots in enumerate(self._knots):
            at = np.searchsorted(knots, along[:, p], side="right") - 1
            inside = np.flatnonzero((at >= 0) & (at < len(knots) - 1))
            below = at[inside]
            value = -weight[inside] / np.diff(knots)[below]
            sums[p] = csr_array((value, (below, inside)), (self._count, len(along))) @ columns
        return sums

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


def _knots(x: Floats, count: int) -> Floats:
    """Quantiles, apart from each other by a part of the standard deviation."""
    gap = _GAP * float(x.std()) or 1.0
    quantiles = np.quantile(x, np.linspace(_OUTSIDE, 1 - _OUTSIDE, count))
    kept = [float(quantiles[0]) - gap]
    for value in quantiles:
        if value - kept[-1] >= gap:
            kept.append(float(value))
    return np.array([*kept, kept[-1] + gap])
