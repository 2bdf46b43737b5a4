"""The free family: a map of each feature that may fold, smearing, and a common linear mixing.

y = c + σ A h, with h_j = (x_j - c_j + r_j B(x_j) · θ_j) / σ_j + s_j ε. B are cubic B-splines over
the range r of the MC, constant beyond it; no registered shift is a sum of these. Many maps of one
feature have the same marginal, a fold and a monotone map among them. Several of them are found
feature by feature, by sorting, matching and least squares in turns, and the combination is chosen
by what the features do together. All parameters are then fitted together, with exact derivatives,
and drawn toward the identity: on few events from several starting points, on all from the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..tensors import Source, Target
from .fit import drawn, finite
from .marginals import Marginals

__all__ = ["FreeMap", "fit_free"]

Floats = NDArray[np.float64]

_SPLINES = 12  # of each feature
_WAVES = 6  # of the random maps that the search begins with
_FIRST, _FEW, _MOST = 2_000, 4_000, 30_000  # events of each side in search, refinement and fit
_STARTS = 40  # of the map of one feature
_TURNS = 30  # of sorting and matching
_KEPT = 4  # distinct maps of one feature
_APART = 0.003  # mean square, in units of the variance, from which two maps are distinct
_COMBINATIONS = 10  # starts of the search over combinations
_FOLLOWED = 9  # combinations that are followed at first
_OUTSIDE = 0.002  # share of the MC beyond the range of the splines, on either side
_SPIKE = 0.005  # share of the events from which a value is one that many share
_RIDGE = 1.2  # over the events: of all parameters, toward the identity, as strong as noise is
_SMOOTH = 0.5  # likewise of second differences of the splines' coefficients (Eilers and Marx, 1996)


def _splines(u: Floats) -> Floats:
    """(N, F, K) cubic B-splines of features (N, F) in units of their range, constant beyond it."""
    from scipy.interpolate import BSpline

    inner = np.linspace(0.0, 1.0, _SPLINES - 2)
    knots = np.concatenate([[0.0] * 3, inner, [1.0] * 3])
    flat = np.clip(u, 0.0, 1.0).ravel()
    return np.asarray(BSpline.design_matrix(flat, knots, 3).toarray().reshape(*u.shape, _SPLINES))


@dataclass(frozen=True, eq=False)
class FreeMap:
    """A fitted map.

    Attributes:
        centre: (F,) c, in the units of the features.
        low: (F,) where the splines begin.
        scale: (F,) their range r; 0 of a feature that never varies, and passes.
        sigma: (F,) σ.
        theta: (F, K) coefficients, in units of the range.
        smear: (F,) standard deviations of the noise, in units of σ.
        mixing: (F, F) matrix A.
        spikes: feature, value in MC and value in data of what many events share: a default for
            what does not exist, a hard edge. It stays one value.
    """

    centre: Floats = field(repr=False)
    low: Floats = field(repr=False)
    scale: Floats = field(repr=False)
    sigma: Floats = field(repr=False)
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
        """Map (N, F) features; a missing value stays, and mixes as if it were at the centre."""
        noise = np.random.default_rng([seed, 0xF4]).standard_normal(x.shape)
        known = np.isfinite(x)
        value = np.where(known, x, self.centre)
        unit = np.where(self.scale > 0, self.scale, 1.0)
        moved = value + unit * np.einsum(
            "nfk,fk->nf", _splines((value - self.low) / unit), self.theta
        )
        h = (moved - self.centre) / self.sigma + self.smear * noise
        moved = self.centre + self.sigma * (h @ self.mixing.T)
        for j, before, after in self.spikes:
            moved[x[:, j] == before, j] = after
        return np.where(known & (self.scale > 0), moved, x)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "spikes"}
        stored = {name: array.tolist() for name, array in arrays.items()}
        return stored | {"spikes": [list(spike) for spike in self.spikes]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described."""
        arrays = {
            f.name: np.asarray(stored[f.name], np.float64)
            for f in fields(cls)
            if f.name != "spikes"
        }
        spikes = tuple((int(j), float(a), float(b)) for j, a, b in stored["spikes"])
        return cls(**arrays, spikes=spikes)


class _Free:
    """The least-squares problem of a free map, at class fractions of the data that are held."""

    def __init__(
        self, mc: Source, target: Target, identity: FreeMap, seed: int, directions: int, pull: float
    ) -> None:
        self.map = identity
        unit = np.where(identity.scale > 0, identity.scale, 1.0)
        x, y = (np.asarray(s.features, dtype=np.float64) for s in (mc, target))
        self.u = (x - identity.low) / unit
        self.x, self.y = ((z - identity.centre) / identity.sigma for z in (x, y))
        weight = np.asarray(target.weight, dtype=np.float64)
        self.data = Marginals(self.y, weight, directions=directions, seed=seed)
        basis = _splines(self.u) * (unit / identity.sigma)[:, None]
        self.noise = np.random.default_rng([seed, 0xF4]).standard_normal(self.x.shape)
        weight = np.asarray(mc.weight, dtype=np.float64)
        self.weight = weight / weight.sum()
        self.basis = basis
        f, k = self.basis.shape[1:]
        self.shape = f, k
        self.identity = identity.flat()
        ridge = np.concatenate([np.full(f * k, 0.5), np.ones(f + f * f)])
        second = np.kron(np.eye(f), np.diff(np.eye(k), 2, axis=0))
        smooth = np.concatenate([second, np.zeros((len(second), f + f * f))], axis=1)
        penalty = np.concatenate([np.diag(ridge), _SMOOTH * smooth])
        fixed = identity.scale == 0
        both = np.repeat(fixed, f) | np.tile(fixed, f)
        self.free = np.flatnonzero(~np.concatenate([np.repeat(fixed, k), fixed, both]))
        self.penalty = pull**0.5 * penalty[:, self.free]

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
        h = self.x + np.einsum("nfk,fk->nf", self.basis, theta) + smear * self.noise
        return h, h @ mixing.T

    def distance(self, point: Floats) -> float:
        apart = self.residual(point)
        return float(apart @ apart)

    def residual(self, point: Floats) -> Floats:
        data = self.data
        f = data.distribution(data.locate(self.mapped(point)[1]), self.weight)
        return np.asarray(((f - data.cdf) * data.root).ravel())

    def objective(self, point: Floats) -> tuple[float, Floats, Floats]:
        """Distance with what draws toward the identity; residuals of the one and the other."""
        r, pulled = self.residual(point), self.penalty @ (point - self.identity)[self.free]
        return float(r @ r + pulled @ pulled), r, pulled

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

    def refine(self, start: Floats, steps: int) -> tuple[float, Floats]:
        """The nearest minimum, drawn toward the identity (Levenberg and Marquardt)."""
        free = self.free
        point, damping = start.copy(), 1e-2
        value, r, pulled = self.objective(point)
        for _ in range(steps):
            j = self.jacobian(point)[:, free]
            hessian = j.T @ j + self.penalty.T @ self.penalty
            gradient = j.T @ r + self.penalty.T @ pulled
            before = value
            for _ in range(8):
                step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), gradient)
                moved = point.copy()
                moved[free] -= step
                new = self.objective(moved)
                if new[0] < value:
                    point, (value, r, pulled), damping = moved, new, damping / 6
                    break
                damping *= 6
            if before - value < 1e-3 * before:
                break
        return value, point

    def maps_of(self, j: int, generator: np.random.Generator) -> list[Floats]:
        """Distinct coefficients (K,) of one feature: of the monotone map, then the best first."""
        n = min(len(self.x), len(self.y))
        x, basis, y = self.x[:n, j], self.basis[:n, j], np.sort(self.y[:n, j])
        k = basis.shape[1]
        second = np.diff(np.eye(k), 2, axis=0)
        unit = float(np.mean(basis.sum(axis=1) ** 2))  # of the range, in σ
        pull = 1e-5 * n * unit * (second.T @ second + 0.1 * np.eye(k))
        solve = np.linalg.inv(basis.T @ basis + pull) @ basis.T
        wave = np.cos(np.pi * np.outer(self.u[:n, j], np.arange(_WAVES))) * unit**0.5
        width = 0.4 / np.maximum(1, np.arange(_WAVES))
        reached: list[tuple[float, Floats]] = []
        for start in range(_STARTS):
            moved = x + (wave @ (generator.standard_normal(_WAVES) * width) if start else 0.0)
            for _ in range(_TURNS):
                matched = np.empty(n)
                matched[np.argsort(moved, kind="stable")] = y
                theta = solve @ (matched - x)
                moved = x + basis @ theta
            reached.append((float(np.mean((np.sort(moved) - y) ** 2)), theta))
        kept = [reached[0][1]]
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
        varying = [j for j in range(f) if self.map.scale[j] > 0]
        maps = {j: [np.zeros(k), *self.maps_of(j, generator)] for j in varying}

        def point(choice: dict[int, int]) -> Floats:
            start = self.identity.copy()
            for j, index in choice.items():
                start[j * k : (j + 1) * k] = maps[j][index]
            return start

        reached: dict[tuple[int, ...], float] = {}

        def cost(choice: dict[int, int]) -> float:
            key = tuple(choice.values())
            if key not in reached:
                reached[key] = self.distance(point(choice))
            return reached[key]

        ends = set()
        for attempt in range(_COMBINATIONS):
            choice = {
                j: (min(attempt, 1) if attempt < 2 else int(generator.integers(len(maps[j]))))
                for j in varying
            }
            for _ in range(3):
                before = dict(choice)
                for j in varying:
                    costs = [cost(choice | {j: q}) for q in range(len(maps[j]))]
                    choice[j] = int(np.argmin(costs))
                if choice == before:
                    break
            ends.add(tuple(choice.values()))
        best = sorted(ends, key=lambda key: reached[key])[:_FOLLOWED]
        starts = [point(dict(zip(varying, key, strict=True))) for key in best]
        return [self.identity, *(s for s in starts if not np.array_equal(s, self.identity))]


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
    identity = _identity(mc)
    generator = np.random.default_rng([seed, 0xF3])
    pull = _RIDGE / min(len(mc), len(target), _MOST)

    def problem(most: int, along: int) -> _Free:
        few = drawn(mc, most, generator), drawn(target, most, generator)
        return _Free(*few, identity, seed, along, pull)

    first = problem(_FIRST, directions // 2)
    points = first.combinations(generator)
    search, whole = problem(_FEW, directions // 2), problem(_MOST, directions)
    for level, steps, followed in ((first, 4, 4), (search, 8, 2), (search, 25, 1)):
        refined = [level.refine(point, steps) for point in points]
        points = [point for _, point in sorted(refined, key=lambda pair: pair[0])[:followed]]
    _, point = whole.refine(points[0], 10)
    theta, smear, mixing = whole.split(point)
    fitted = replace(identity, theta=theta, smear=smear, mixing=mixing)
    return replace(fitted, spikes=_spikes(fitted, mc, target)), whole.distance(point)


def _identity(mc: Source) -> FreeMap:
    """The map that changes nothing, with the units of the MC."""
    x = np.asarray(mc.features, dtype=np.float64)
    f = x.shape[1]
    sigma = x.std(axis=0)
    low, high = np.quantile(x, [_OUTSIDE, 1 - _OUTSIDE], axis=0)
    low, high = np.where(high > low, [low, high], [x.min(axis=0), x.max(axis=0)])
    return FreeMap(
        x.mean(axis=0), low, high - low, np.where(sigma > 0, sigma, 1.0),
        np.zeros((f, _SPLINES)), np.zeros(f), np.eye(f),
    )  # fmt: skip


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
