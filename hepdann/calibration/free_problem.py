"""The least-squares problem of a free map: distances, exact derivatives, the way to a minimum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..tensors import Source, Target
from .fit import spread
from .free import FreeMap, splines
from .marginals import Marginals

__all__ = ["FreeProblem"]

Floats = NDArray[np.float64]

_SIZE = 0.1  # of coefficients, beside smearing and mixing: how strongly they are drawn to 0


class FreeProblem:
    """The least-squares problem of a free map, at class fractions of the data that are held.

    Args:
        mc: labelled events without missing values.
        target: the data, likewise.
        identity: the map that changes nothing.
        seed: of random directions and noise.
        directions: random directions beside the features.
        pull: how strongly the parameters are drawn toward the identity.
        smooth: likewise second differences of coefficients to 0 (P-splines of Eilers and Marx,
            1996).
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
        smooth: float,
    ) -> None:
        self.map = identity
        unit = np.where(identity.scale > 0, identity.scale, 1.0)
        x, y = (np.asarray(s.features, dtype=np.float64) for s in (mc, target))
        self.u = (x - identity.low) / unit
        self.x, self.y = ((z - identity.centre) / identity.sigma for z in (x, y))
        weight = np.asarray(target.weight, dtype=np.float64)
        self.data = Marginals(self.y, weight, directions=directions, seed=seed, pairs=True)
        basis = splines(self.u) * (unit / identity.sigma)[:, None]
        self.noise = np.random.default_rng([seed, 0xF4]).standard_normal(self.x.shape)
        weight = np.asarray(mc.weight, dtype=np.float64)
        self.weight = weight / weight.sum()
        self.basis = basis
        f, k = self.basis.shape[1:]
        self.shape = f, k
        self.identity = identity.flat()
        ridge = np.concatenate([np.full(f * k, _SIZE), np.ones(f + f * f)])
        second = np.kron(np.eye(f), np.diff(np.eye(k), 2, axis=0))
        curved = np.concatenate([second, np.zeros((len(second), f + f * f))], axis=1)
        penalty = np.concatenate([np.diag(ridge), smooth * curved])
        fixed = identity.scale == 0
        both = np.repeat(fixed, f) | np.tile(fixed, f)
        self.free = ~np.concatenate([np.repeat(fixed, k), fixed, both])
        self.varying = np.flatnonzero(~fixed).tolist()
        self.penalty = pull**0.5 * penalty

    def split(self, point: Floats) -> tuple[Floats, Floats, Floats]:
        """Coefficients (F, K), smearing (F,) and mixing (F, F)."""
        f, k = self.shape
        return (
            point[: f * k].reshape(f, k),
            point[f * k : f * k + f],
            point[f * k + f :].reshape(f, f),
        )

    def mapped(self, point: Floats) -> tuple[Floats, Floats]:
        """(N, F) before and after the mixing."""
        theta, smear, mixing = self.split(point)
        h = self.x + np.einsum("nfk,fk->nf", self.basis, theta) + smear * self.noise
        return h, h @ mixing.T

    def distance(self, point: Floats) -> float:
        """Mean squared difference of the distributions."""
        apart = self.residual(point)
        return float(apart @ apart)

    def residual(self, point: Floats) -> Floats:
        """Weighted differences (P * B,) of the distributions."""
        data = self.data
        f = data.distribution(data.locate(self.mapped(point)[1]), self.weight)
        return np.asarray(((f - data.cdf) * data.root).ravel())

    def objective(self, point: Floats) -> tuple[float, Floats, Floats]:
        """Distance with what draws toward the identity; residuals of the one and the other."""
        r, pulled = self.residual(point), self.penalty @ (point - self.identity)
        return float(r @ r + pulled @ pulled), r, pulled

    def columns(self, features: Sequence[int]) -> NDArray[np.intp]:
        """Places of the parameters of some features: coefficients, smearing, column of A."""
        f, k = self.shape
        at = np.asarray(features)
        own = (at[:, None] * k + np.arange(k)).ravel()
        mixing = f * k + f + (np.arange(f)[:, None] * f + at).ravel()
        return np.concatenate([own, f * k + at, mixing])

    def jacobian(self, point: Floats, features: Sequence[int]) -> Floats:
        """(P * B, parameters) derivatives by what :meth:`columns` gives, in this order."""
        _, _, mixing = self.split(point)
        h, y = self.mapped(point)
        data, at, k = self.data, list(features), self.shape[1]
        n, m = len(h), len(at)
        # what each parameter moves, by how much in the one event and the other
        moves = np.concatenate(
            [self.basis[:, at].reshape(n, -1), self.noise[:, at], h[:, at]], axis=1
        )
        sums = data.moved(y, self.weight, moves)
        p, b = sums.shape[:2]
        through = (mixing.T @ data.directions)[at].T  # (P, m): of h_j along each direction
        per_theta = sums[..., : m * k].reshape(p, b, m, k) * through[:, None, :, None]
        per_smear = sums[..., m * k : m * k + m] * through[:, None, :]
        per_mixing = data.directions.T[:, None, :, None] * sums[..., None, m * k + m :]
        whole = np.concatenate(
            [per_theta.reshape(p, b, -1), per_smear, per_mixing.reshape(p, b, -1)], axis=2
        )
        return np.asarray((whole * data.root[..., None]).reshape(p * b, -1))

    def covariance(self, point: Floats) -> Floats:
        """Covariance of all parameters, 0 of those that are fixed: see :class:`.fit.Problem`."""
        at = self.columns(self.varying)
        inside = self.free[at]
        at = at[inside]
        j, pull = self.jacobian(point, self.varying)[:, inside], self.penalty[:, at]
        operator = np.linalg.solve(j.T @ j + pull.T @ pull, j.T) * self.data.root.ravel()
        operator = operator.reshape(-1, *self.data.cdf.shape)
        data, weight = self.data, self.weight
        inner = spread(data.response(operator, data.positions), data.weight)
        inner += spread(data.response(operator, data.locate(self.mapped(point)[1])), weight)
        whole = np.zeros((len(point), len(point)))
        whole[np.ix_(at, at)] = inner
        return whole

    def refine(
        self, start: Floats, steps: int, features: Sequence[int] | None = None
    ) -> tuple[float, Floats]:
        """Follow to the nearest minimum, drawn toward the identity (Levenberg and Marquardt).

        Args:
            start: all parameters.
            steps: at most.
            features: whose parameters are fitted; by default all that vary.

        Returns:
            The objective, and all parameters.
        """
        features = self.varying if features is None else features
        at = self.columns(features)
        inside = self.free[at]
        at, pull = at[inside], self.penalty[:, at[inside]]
        point, damping = start.copy(), 1e-2
        value, r, pulled = self.objective(point)
        for _ in range(steps):
            j = self.jacobian(point, features)[:, inside]
            hessian, gradient = j.T @ j + pull.T @ pull, j.T @ r + pull.T @ pulled
            before = value
            for _ in range(8):
                step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), gradient)
                moved = point.copy()
                moved[at] -= step
                new = self.objective(moved)
                if new[0] < value:
                    point, (value, r, pulled), damping = moved, new, damping / 6
                    break
                damping *= 6
            if before - value < 1e-3 * before:
                break
        return value, point
