"""The free family, and the least-squares problem of its parameters.

A map of each feature that may fold, smearing, and a common linear mixing:
y = c + σ A h, with h_j = (x_j - c_j + r_j B(x_j) · θ_j) / σ_j + s_j ε. B are cubic B-splines over
the range r of the MC, constant beyond it; no registered shift is a sum of these.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..shifts.noise import Seed, noise, seed_of_table
from ..tensors import Objects, Source, Target
from .families import FittedMap
from .fit import spread
from .marginals import Marginals

Floats = NDArray[np.float64]

_SPLINES = 10  # of each feature
_OUTSIDE = 0.002  # share of the MC beyond the range of the splines, on either side
# Coefficients, beside smearing and mixing, and their second differences: how strongly they are
# drawn to 0 (P-splines of Eilers and Marx, 1996).
_SMALL, _SMOOTH = 0.1, 0.15


def splines(u: Floats, count: int) -> Floats:
    """(N, F, K) cubic B-splines of features (N, F) in units of their range, constant beyond it."""
    from scipy.interpolate import BSpline

    knots = np.concatenate([[0.0] * 3, np.linspace(0.0, 1.0, count - 2), [1.0] * 3])
    flat = np.clip(u, 0.0, 1.0).ravel()
    return np.asarray(BSpline.design_matrix(flat, knots, 3).toarray().reshape(*u.shape, count))


@dataclass(frozen=True, eq=False)
class FreeMap(FittedMap):
    """A fitted map.

    Attributes:
        centre: (F,) c, in the units of the features.
        low: (F,) where the splines begin.
        scale: (F,) their range r; 0 of a feature that never varies, and passes.
        sigma: (F,) σ.
        theta: (F, K) coefficients, in units of the range.
        smear: (F,) standard deviations of the noise, in units of σ.
        mixing: (F, F) matrix A.
    """

    centre: Floats = field(repr=False)
    low: Floats = field(repr=False)
    scale: Floats = field(repr=False)
    sigma: Floats = field(repr=False)
    theta: Floats
    smear: Floats
    mixing: Floats

    name = "free"
    letter = "c"

    def flat(self) -> Floats:
        """All parameters, one after the other."""
        return np.concatenate([self.theta.ravel(), self.smear, self.mixing.ravel()])

    @classmethod
    def identity(cls, mc: Floats) -> Self:
        """The map that changes nothing, with the units of (N, F) features of MC."""
        f, sigma = mc.shape[1], mc.std(axis=0)
        low, high = np.quantile(mc, [_OUTSIDE, 1 - _OUTSIDE], axis=0)
        low, high = np.where(high > low, [low, high], [mc.min(axis=0), mc.max(axis=0)])
        return cls(
            mc.mean(axis=0), low, high - low, np.where(sigma > 0, sigma, 1.0),
            np.zeros((f, _SPLINES)), np.zeros(f), np.eye(f),
        )  # fmt: skip

    def apply(self, x: Floats, theta: Floats, seed: Seed) -> Floats:
        """Map (N, F) features; a missing value stays, and mixes as if it were at the centre."""
        ends = np.cumsum([self.theta.size, self.smear.size])
        coefficients, smear, mixing = np.split(theta, ends)
        drawn = noise(seed, 0xF4).standard_normal(x.shape)
        known = np.isfinite(x)
        value = np.where(known, x, self.centre)
        unit = np.where(self.scale > 0, self.scale, 1.0)
        basis = splines((value - self.low) / unit, self.theta.shape[1])
        moved = value + unit * np.einsum(
            "nfk,fk->nf", basis, coefficients.reshape(self.theta.shape)
        )
        h = (moved - self.centre) / self.sigma + smear * drawn
        moved = self.centre + self.sigma * (h @ mixing.reshape(self.mixing.shape).T)
        return self.kept(x, moved, self.scale > 0)


@dataclass(frozen=True, eq=False)
class FreeObjects(FittedMap):
    """A free map of the features of the event, and of those of each collection's objects.

    Attributes:
        maps: of each table; ``None`` of one without columns or objects.
    """

    maps: tuple[FreeMap | None, ...] = ()

    name = "free"
    letter = "c"

    def flat(self) -> Floats:
        """All parameters, one after the other."""
        return np.concatenate([np.zeros(0), *(one.flat() for one in self.maps if one)])

    def apply(self, x: Any, theta: Floats, seed: Seed) -> Any:
        """Map objects; a missing value stays."""
        sizes = accumulate((len(one.flat()) if one else 0 for one in self.maps), initial=0)
        spans = list(pairwise(sizes))

        def change(number: int, table: NDArray[np.float32]) -> NDArray[Any]:
            one, part = self.maps[number], theta[slice(*spans[number])]
            if one is None:
                return table
            return one.apply(table.astype(np.float64), part, seed_of_table(seed, x, number))

        assert isinstance(x, Objects)
        return x.mapped(change)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {"kind": "objects-free", "maps": [one and one.to_dict() for one in self.maps]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described."""
        return cls(maps=tuple(one and FreeMap.from_dict(one) for one in stored["maps"]))


@dataclass(frozen=True, eq=False)
class Place:
    """The MC as a point maps it.

    Attributes:
        before: (N, F) the mixing.
        mapped: (N, F) behind it.
        below: (P, N) where these are between the knots of each direction.
        left: (P * B,) weighted differences of the distributions.
        pulled: residuals that draw toward the identity.
    """

    before: Floats
    mapped: Floats
    below: NDArray[np.int16]
    left: Floats
    pulled: Floats

    @property
    def distance(self) -> float:
        """Mean squared difference of the distributions."""
        return float(self.left @ self.left)

    @property
    def value(self) -> float:
        """The same with what draws toward the identity: what is minimised."""
        return float(self.distance + self.pulled @ self.pulled)


class FreeProblem:
    """The least-squares problem of a free map, at class fractions of the data that are held.

    No event has a missing value. ``directions`` are random ones beside the features, ``pull`` is
    how strongly the parameters are drawn toward the identity.
    """

    def __init__(
        self,
        mc: Source,
        target: Target,
        identity: FreeMap,
        *,
        seed: int,
        directions: int,
        pull: float,
    ) -> None:
        self.map = identity
        unit = np.where(identity.scale > 0, identity.scale, 1.0)
        x, y = (np.asarray(s.features, dtype=np.float64) for s in (mc, target))
        self.u = (x - identity.low) / unit
        self.x, self.y = ((z - identity.centre) / identity.sigma for z in (x, y))
        weight = np.asarray(target.weight, dtype=np.float64)
        self.data = Marginals(self.y, weight, directions=directions, seed=seed, pairs=True)
        basis = splines(self.u, identity.theta.shape[1]) * (unit / identity.sigma)[:, None]
        f, k = basis.shape[1:]
        self.noise = np.random.default_rng([seed, 0xF4]).standard_normal(self.x.shape)
        weight = np.asarray(mc.weight, dtype=np.float64)
        self.weight = weight / weight.sum()
        self.basis = basis.reshape(len(x), f * k)  # of all features, side by side
        # what each parameter moves of h; of the mixing, that is where the events are before it
        self._moves = np.zeros((len(x), -(-f * (k + 2) // 8) * 8), np.float32)
        self._moves[:, : f * k] = self.basis * self.weight[:, None]
        self._moves[:, f * k : f * (k + 1)] = self.noise * self.weight[:, None]
        self.shape = f, k
        self.identity = identity.flat()
        fixed = identity.scale == 0
        both = np.repeat(fixed, f) | np.tile(fixed, f)
        self.free = ~np.concatenate([np.repeat(fixed, k), fixed, both])
        self.varying = np.flatnonzero(~fixed).tolist()
        self.pull = pull
        self.penalty = self._penalty(1.0)

    def tightened(self, times: float) -> Self:
        """The same problem, its maps of single features drawn to 0 so much more strongly."""
        other = copy.copy(self)
        other.penalty = self._penalty(times)
        return other

    def _penalty(self, times: float) -> Floats:
        """Rows whose squares draw toward the identity: all parameters, and curved maps."""
        f, k = self.shape
        ridge = np.concatenate([np.full(f * k, times * _SMALL), np.ones(f + f * f)])
        second = np.kron(np.eye(f), np.diff(np.eye(k), 2, axis=0))
        curved = np.concatenate([second, np.zeros((len(second), f + f * f))], axis=1)
        both = np.concatenate([np.diag(ridge), times * _SMOOTH * curved])
        return np.asarray(self.pull**0.5 * both)

    def split(self, point: Floats) -> tuple[Floats, Floats, Floats]:
        """Coefficients (F, K), smearing (F,) and mixing (F, F)."""
        f, k = self.shape
        return (
            point[: f * k].reshape(f, k),
            point[f * k : f * k + f],
            point[f * k + f :].reshape(f, f),
        )

    def at(self, point: Floats) -> Place:
        """Where a point maps the MC, and what is left there."""
        theta, smear, mixing = self.split(point)
        f, k = self.shape
        blocks = np.zeros((f, k, f))
        blocks[np.arange(f), :, np.arange(f)] = theta
        h = self.x + self.basis @ blocks.reshape(f * k, f) + smear * self.noise
        data, mapped = self.data, h @ mixing.T
        cdf, below = data.placed(mapped, self.weight)
        pulled = self.penalty @ (point - self.identity)
        return Place(h, mapped, below, ((cdf - data.cdf) * data.root).ravel(), pulled)

    def jacobian(self, point: Floats, place: Place | None = None) -> Floats:
        """(P * B, parameters) derivatives of what is left by all parameters that are free."""
        place = place or self.at(point)
        data, (f, k) = self.data, self.shape
        alone, moves = f * (k + 1), self._moves.copy()
        moves[:, alone : alone + f] = place.before * self.weight[:, None]
        sums = data.moved(place.below, moves)[..., : alone + f]
        through = data.directions.T @ self.split(point)[2]  # (P, F): of h_j along each direction
        through = np.concatenate([np.repeat(through, k, axis=1), through], axis=1)
        whole = np.empty((*sums.shape[:2], len(point)))
        np.multiply(sums[..., :alone], through[:, None], out=whole[..., :alone])
        mixing = data.directions.T[:, None, :, None] * sums[..., None, alone:]
        whole[..., alone:] = mixing.reshape(*sums.shape[:2], -1)
        whole = whole.reshape(-1, len(point))
        return whole if self.free.all() else whole[:, self.free]

    def covariance(self, point: Floats) -> Floats:
        """Covariance of all parameters, 0 of those that are fixed: see :class:`.fit.Problem`."""
        j, pull = self.jacobian(point), self.penalty[:, self.free]
        operator = np.linalg.solve(j.T @ j + pull.T @ pull, j.T) * self.data.root.ravel()
        operator = operator.reshape(-1, *self.data.cdf.shape)
        data = self.data
        inner = spread(data.response(operator, data.features), data.weight)
        inner += spread(data.response(operator, self.at(point).mapped), self.weight)
        whole = np.zeros((len(point), len(point)))
        whole[np.ix_(self.free, self.free)] = inner
        return whole

    def refine(self, start: Floats, steps: int) -> tuple[float, Floats]:
        """Follow to the nearest minimum, drawn toward the identity (Levenberg and Marquardt).

        Returns:
            What was minimised, and all parameters.
        """
        pull = self.penalty[:, self.free]
        point, damping = start.copy(), 1e-2
        place = self.at(point)
        for _ in range(steps):
            j = self.jacobian(point, place)
            hessian, gradient = j.T @ j + pull.T @ pull, j.T @ place.left + pull.T @ place.pulled
            before = place.value
            for _ in range(8):
                step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), gradient)
                moved = point.copy()
                moved[self.free] -= step
                candidate = self.at(moved)
                if candidate.value < place.value:
                    point, place, damping = moved, candidate, damping / 6
                    break
                damping *= 6
            if before - place.value < 1e-3 * before:
                break
        return place.value, point
