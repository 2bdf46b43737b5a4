"""The free family: a map of each feature that may fold, smearing, and a common linear mixing.

y = A h, with h_j = g_j(x̂_j) + s_j ε and g(x̂) = θ · (1, x̂, sin 2πkx̂, cos 2πkx̂; k ≤ 2). Many maps of
one feature have the same marginal, a fold and a monotone map among them. Several of them are found
feature by feature, by sorting, matching and least squares in turns, and the combination is chosen
by what the features do together. All parameters are then fitted together, with exact derivatives,
and drawn toward the identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..tensors import Source, Target
from .fit import finite
from .marginals import Marginals

__all__ = ["FreeMap", "fit_free"]

Floats = NDArray[np.float64]

_ORDER = 2  # largest k
_FEW = 4_000  # events of each side in the search
_STARTS = 40  # of the map of one feature
_TURNS = 30  # of sorting and matching
_KEPT = 5  # distinct maps of one feature
_APART = 0.003  # mean square, in units of the variance, from which two maps are distinct
_COMBINATIONS = 4  # starts of the search over combinations
_SPIKE = 0.005  # share of the events from which a value is one that many share
_RIDGE = 1.2  # over the events: of all parameters, toward the identity, as strong as noise is


def _basis(x: Floats) -> Floats:
    """(N, F, 2 + 2 k) functions of unit features (N, F)."""
    waves = [wave(2 * np.pi * k * x) for k in range(1, _ORDER + 1) for wave in (np.sin, np.cos)]
    return np.stack([np.ones_like(x), x, *waves], axis=-1)


@dataclass(frozen=True, eq=False)
class FreeMap:
    """A fitted map.

    Attributes:
        scale: (F,) of the features, in their units; 0 of a feature that never varies, and passes.
        theta: (F, 2 + 2 k) coefficients, in units of the scale.
        smear: (F,) standard deviations of the noise, in units of the scale.
        mixing: (F, F) matrix A, on unit features.
        spikes: feature, value in MC and value in data of what many events share: a default for
            what does not exist, a hard edge. It stays one value.
    """

    scale: Floats = field(repr=False)
    theta: Floats
    smear: Floats
    mixing: Floats
    spikes: tuple[tuple[int, float, float], ...] = field(default=(), repr=False)

    name = "free"

    def flat(self) -> Floats:
        """All parameters, one after the other."""
        return np.concatenate([self.theta.ravel(), self.smear, self.mixing.ravel()])

    @property
    def parameters(self) -> tuple[str, ...]:
        """As many as there are coefficients."""
        return tuple(f"c{i}" for i in range(len(self.flat())))

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """None: it was fitted in its own way."""
        return np.full(len(self.flat()), -np.inf), np.full(len(self.flat()), np.inf)

    @property
    def step(self) -> Floats:
        """See :class:`hepdann.calibration.Family`."""
        return np.full(len(self.flat()), 1e-3)

    def starts(self) -> Floats:
        """Where it is."""
        return self.flat()[None]

    def apply(self, x: Floats, theta: Floats, seed: int) -> Floats:  # noqa: ARG002
        """Map (N, F) features; those with a missing value keep it, and mix as if it were 0."""
        unit = np.where(self.scale > 0, self.scale, 1.0)
        noise = np.random.default_rng([seed, 0xF4]).standard_normal(x.shape)
        known = np.isfinite(x)
        h = np.einsum("nfk,fk->nf", _basis(np.where(known, x, 0.0) / unit), self.theta)
        moved = (h + self.smear * noise) @ self.mixing.T * unit
        for j, before, after in self.spikes:
            moved[x[:, j] == before, j] = after
        return np.where(known & (self.scale > 0), moved, x)


class _Free:
    """The least-squares problem of a free map, at class fractions of the data that are held."""

    def __init__(
        self, mc: Source, target: Target, scale: Floats, seed: int, directions: int
    ) -> None:
        unit = np.where(scale > 0, scale, 1.0)
        self.x, self.y = (np.asarray(s.features, dtype=np.float64) / unit for s in (mc, target))
        weight = np.asarray(target.weight, dtype=np.float64)
        self.data = Marginals(self.y, weight, directions=directions, seed=seed)
        self.basis = _basis(self.x)
        self.noise = np.random.default_rng([seed, 0xF4]).standard_normal(self.x.shape)
        weight = np.asarray(mc.weight, dtype=np.float64)
        self.weight = weight / weight.sum()
        f, k = self.basis.shape[1:]
        self.shape = f, k
        identity = np.zeros((f, k))
        identity[:, 1] = 1.0
        self.identity = np.concatenate([identity.ravel(), np.zeros(f), np.eye(f).ravel()])
        penalty = np.ones((f, k))
        penalty[:, 2:] *= np.repeat(np.arange(1, _ORDER + 1), 2)
        strength = (_RIDGE / min(len(self.x), len(self.y))) ** 0.5
        self.ridge = strength * np.concatenate([penalty.ravel(), np.ones(f), np.ones(f * f)])
        fixed = np.concatenate(
            [
                np.repeat(scale == 0, k),
                scale == 0,
                np.repeat(scale == 0, f) | np.tile(scale == 0, f),
            ]
        )
        self.free = np.flatnonzero(~fixed)

    def split(self, point: Floats) -> tuple[Floats, Floats, Floats]:
        f, k = self.shape
        return (
            point[: f * k].reshape(f, k),
            point[f * k : f * k + f],
            point[f * k + f :].reshape(f, f),
        )

    def mapped(self, point: Floats) -> tuple[Floats, Floats]:
        """(N, F) before and after the mixing."""
        theta, smear, mixing = self.split(point)
        h = np.einsum("nfk,fk->nf", self.basis, theta) + smear * self.noise
        return h, h @ mixing.T

    def distance(self, point: Floats) -> float:
        apart = self.residual(point)
        return float(apart @ apart)

    def residual(self, point: Floats) -> Floats:
        data = self.data
        f = data.distribution(data.locate(self.mapped(point)[1]), self.weight)
        return np.asarray(((f - data.cdf) * data.root).ravel())

    def jacobian(self, point: Floats) -> Floats:
        """(P * B, parameters)."""
        _, _, mixing = self.split(point)
        h, y = self.mapped(point)
        data = self.data
        f, k = self.shape
        columns = np.concatenate(
            [self.basis.reshape(len(h), -1), self.noise, h], axis=1
        )  # what each parameter moves
        sums = data.moved(y, self.weight, columns)  # (P, B, f k + f + f)
        through = mixing.T @ data.directions  # (F, P): of h_j along each direction
        per_theta = sums[..., : f * k].reshape(*sums.shape[:2], f, k) * through.T[:, None, :, None]
        per_smear = sums[..., f * k : f * k + f] * through.T[:, None, :]
        per_mixing = data.directions.T[:, None, :, None] * sums[..., None, f * k + f :]
        p, b = sums.shape[:2]
        whole = np.concatenate(
            [per_theta.reshape(p, b, -1), per_smear, per_mixing.reshape(p, b, -1)], axis=2
        )
        return np.asarray((whole * data.root[..., None]).reshape(p * b, -1))

    def refine(self, start: Floats, steps: int = 40) -> tuple[float, Floats]:
        """The nearest minimum, drawn toward the identity."""
        from scipy.optimize import least_squares

        free, ridge = self.free, self.ridge[self.free]

        def whole(inner: Floats) -> Floats:
            point = self.identity.copy()
            point[free] = inner
            return point

        def residual(inner: Floats) -> Floats:
            drawn = ridge * (inner - self.identity[free])
            return np.concatenate([self.residual(whole(inner)), drawn])

        def jacobian(inner: Floats) -> Floats:
            return np.concatenate([self.jacobian(whole(inner))[:, free], np.diag(ridge)])

        fitted = least_squares(
            residual, start[free], jacobian, max_nfev=steps, xtol=1e-5, ftol=1e-6
        )
        return 2 * float(fitted.cost), whole(fitted.x)

    def maps_of(self, j: int, generator: np.random.Generator) -> list[Floats]:
        """Distinct maps (2 + 2 k,) of one feature, the best first."""
        n = min(len(self.x), len(self.y))
        basis, y = self.basis[:n, j], np.sort(self.y[:n, j])
        k = basis.shape[1]
        identity = np.eye(k)[1]
        penalty = np.concatenate([np.zeros(2), np.repeat(np.arange(1, _ORDER + 1.0) ** 2, 2)])
        inverse = np.linalg.inv(basis.T @ basis + 2e-5 * n * np.diag(penalty) + 1e-9 * np.eye(k))
        width = np.concatenate([[0.3, 0.4], np.repeat(0.4 / np.arange(1, _ORDER + 1), 2)])
        reached: list[tuple[float, Floats]] = []
        for start in range(_STARTS):
            theta = identity + (generator.standard_normal(k) * width if start else 0.0)
            for _ in range(_TURNS):
                matched = np.empty(n)
                matched[np.argsort(basis @ theta, kind="stable")] = y
                theta = inverse @ (basis.T @ matched)
            reached.append((float(np.mean((np.sort(basis @ theta) - y) ** 2)), theta))
        kept: list[Floats] = []
        for _, theta in sorted(reached, key=lambda r: r[0]):
            values = basis @ theta
            if len(kept) < _KEPT and all(
                np.mean((values - basis @ other) ** 2) > _APART * y.var() for other in kept
            ):
                kept.append(theta)
        return kept

    def combinations(self, generator: np.random.Generator) -> list[Floats]:
        """Points from which the whole map is fitted: the identity, and the best combinations."""
        f, k = self.shape
        varying = [j for j in range(f) if np.ptp(self.x[:, j]) > 0]
        maps = {j: [np.eye(k)[1], *self.maps_of(j, generator)] for j in varying}

        def point(choice: dict[int, int]) -> Floats:
            start = self.identity.copy()
            for j, index in choice.items():
                start[j * k : (j + 1) * k] = maps[j][index]
            return start

        reached = []
        for attempt in range(_COMBINATIONS):
            choice = {
                j: (min(attempt, 1) if attempt < 2 else int(generator.integers(len(maps[j]))))
                for j in varying
            }
            for _ in range(3):
                before = dict(choice)
                for j in varying:
                    costs = [self.distance(point(choice | {j: q})) for q in range(len(maps[j]))]
                    choice[j] = int(np.argmin(costs))
                if choice == before:
                    break
            reached.append((self.distance(point(choice)), point(choice)))
        reached.sort(key=lambda pair: pair[0])
        distinct: list[Floats] = [self.identity]
        for _, start in reached:
            if all(not np.array_equal(start, other) for other in distinct):
                distinct.append(start)
        return distinct[:4]


def fit_free(
    mc: Source, target: Target, *, seed: int = 0, directions: int = 48
) -> tuple[FreeMap, float]:
    """Fit a free map to the data at given class fractions of MC.

    Args:
        mc: labelled events, at the class fractions of the data as far as they are known; those
            with a missing feature are left out.
        target: the data, likewise.
        seed: of the search.
        directions: random directions beside the features.

    Returns:
        The map, and the mean squared difference of the distributions that is left.
    """
    mc, target = finite(mc), finite(target)
    scale = np.abs(mc.features).max(axis=0).astype(np.float64)
    scale[np.ptp(mc.features, axis=0) == 0] = 0.0
    generator = np.random.default_rng([seed, 0xF3])
    rows = [np.sort(generator.permutation(len(s))[:_FEW]) for s in (mc, target)]
    search = _Free(mc.take(rows[0]), target.take(rows[1]), scale, seed, directions)
    refined = [search.refine(start) for start in search.combinations(generator)]
    whole = _Free(mc, target, scale, seed, directions)
    best = min(refined, key=lambda pair: pair[0])[1]
    _, point = whole.refine(best, steps=10)
    theta, smear, mixing = whole.split(point)
    fitted = FreeMap(scale, theta, smear, mixing)
    return replace(fitted, spikes=_spikes(fitted, mc, target)), whole.distance(point)


def _spikes(fitted: FreeMap, mc: Source, target: Target) -> tuple[tuple[int, float, float], ...]:
    """Pairs of values that many events of MC, and as many of the data, share."""
    x = np.asarray(mc.features, dtype=np.float64)
    mapped = replace(fitted, smear=np.zeros_like(fitted.smear)).apply(x, fitted.theta, 0)
    pairs = []
    for j in range(x.shape[1]):
        shares = _heavy(target.features[:, j])
        for before, share in _heavy(mc.features[:, j]).items():
            at = float(np.median(mapped[x[:, j] == before, j]))
            after = min(shares, key=lambda v: abs(v - at), default=math.nan)
            if abs(shares.get(after, 0.0) - share) < 0.5 * share:
                pairs.append((j, before, after))
    return tuple(pairs)


def _heavy(column: NDArray[np.floating]) -> dict[float, float]:
    """Values that many events share, and their share."""
    values, counts = np.unique(column, return_counts=True)
    share = counts / len(column)
    return {float(v): float(s) for v, s in zip(values, share, strict=True) if s > _SPIKE}
