"""Fit a family of forward maps and the class fractions to the data, with their covariance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..alignment.base import drawn
from ..tensors import Source, Target
from .families import Family
from .marginals import Marginals
from .objects import figures, inputs_of

Floats = NDArray[np.float64]

_Events = TypeVar("_Events", bound=Target)

_FEW = 3_000  # events of each side on which starting points are compared
_MOST = 100_000  # events of each side that a fit uses
_DIRECTIONS = 24  # beside the features
_STARTS = 2  # starting points that are followed
_APART = 0.08  # of the range of starting points, between two that are followed


@dataclass(frozen=True, eq=False)
class FamilyFit:
    """A family at its best parameters.

    Attributes:
        family: the maps.
        theta: (K,) parameters.
        fractions: (C,) class fractions of the data.
        covariance: (K + C - 1, K + C - 1) of the parameters and of the fractions but the first,
            or (K, K) where the fractions were held.
        distance: mean squared difference of the cumulative distributions that is left.
        held: whether the fractions are those of MC.
        variation: (K,) the change of the parameters, one standard error of it, that changes the
            distributions most.
    """

    family: Family
    theta: Floats
    fractions: Floats
    covariance: Floats
    distance: float
    held: bool
    variation: Floats = field(default_factory=lambda: np.zeros(0), repr=False)

    @property
    def error(self) -> Floats:
        """(K,) standard errors of the parameters."""
        return np.asarray(np.sqrt(np.diag(self.covariance))[: len(self.theta)])

    @property
    def fraction_error(self) -> Floats:
        """(C,) standard errors of the fractions; 0 where they were held."""
        c = len(self.fractions)
        if self.held:
            return np.zeros(c)
        rest = self.covariance[len(self.theta) :, len(self.theta) :]
        first = float(rest.sum())
        variance = np.concatenate([[first], np.diag(rest)])
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


class Problem:
    """MC without missing values against the distributions of the data, for any map of the MC.

    The class fractions of MC are kept where they are ``held``.
    """

    def __init__(self, mc: Source, data: Marginals, *, held: bool, seed: int) -> None:
        self._x = inputs_of(mc)
        self._weight = np.asarray(mc.weight, dtype=np.float64)
        self._label, self._classes = mc.label.astype(np.intp), len(mc.classes)
        self._ids = mc.event_id
        self.data, self.held, self._seed = data, held, seed
        share = np.bincount(self._label, self._weight, self._classes)
        self.mc_fractions = np.asarray(share / share.sum())
        self._free = [c for c in range(1, self._classes) if share[c] > 0 and not held]

    def mapped(self, family: Family, theta: Floats) -> Floats:
        """(N, F) features of the mapped MC."""
        return figures(family.apply(self._x, theta, self._seed))

    def classes(self, family: Family, theta: Floats) -> Floats:
        """Cumulative distributions (C, P, B) of the mapped classes; 0 of one without events."""
        mapped = self.mapped(family, theta)
        return self.data.distributions(mapped, self._weight, self._label, self._classes)

    def fractions(self, classes: Floats) -> Floats:
        """The class fractions (C,) at which the sum of the classes is nearest to the data."""
        if not self._free:
            return np.asarray(self.mc_fractions)
        columns = self._fraction_columns(classes)
        start = self.residual(classes, np.eye(len(classes))[0])
        inner = np.linalg.lstsq(columns, -start, rcond=None)[0]
        fractions = np.zeros(len(classes))
        fractions[self._free] = np.clip(inner, 0.0, 1.0)
        fractions /= max(1.0, fractions.sum())
        fractions[0] = 1.0 - fractions.sum()
        return np.asarray(fractions)

    def residual(self, classes: Floats, fractions: Floats) -> Floats:
        """Weighted differences (P * B,) of the distributions."""
        apart = np.tensordot(fractions, classes, 1) - self.data.cdf
        return np.asarray((apart * self.data.root).ravel())

    def distance(self, family: Family, theta: Floats) -> float:
        """Mean squared difference of the distributions at the best fractions."""
        classes = self.classes(family, theta)
        return float((self.residual(classes, self.fractions(classes)) ** 2).sum())

    def jacobian(self, family: Family, theta: Floats, fractions: Floats) -> Floats:
        """Derivatives (P * B, K + C - 1) of the residual by parameters and free fractions."""
        low, high = family.bounds
        columns = []
        for k, step in enumerate(family.step):
            sides = []
            for value in (min(theta[k] + step, high[k]), max(theta[k] - step, low[k])):
                moved = theta.copy()
                moved[k] = value
                sides.append((value, self.classes(family, moved)))
            (up, upper), (down, lower) = sides
            slope = np.tensordot(fractions, upper - lower, 1) / (up - down)
            columns.append((slope * self.data.root).ravel())
        inner = self.classes(family, theta)
        return np.column_stack([*columns, self._fraction_columns(inner)])

    def minimum(self, family: Family, start: Floats) -> Floats:
        """Parameters (K,) of the nearest minimum, by least squares with the free fractions."""
        from scipy.optimize import least_squares

        k, free = len(start), len(self._free)
        low, high = (
            np.concatenate([b, v])
            for b, v in zip(family.bounds, (np.zeros(free), np.ones(free)), strict=True)
        )
        first = self.fractions(self.classes(family, start))
        begin = np.concatenate([start, first[self._free]])

        def split(point: Floats) -> tuple[Floats, Floats]:
            fractions = self.mc_fractions.copy() if not free else np.zeros(self._classes)
            fractions[self._free] = point[k:]
            if free:
                fractions[0] = 1.0 - point[k:].sum()
            return point[:k], fractions

        def residual(point: Floats) -> Floats:
            theta, fractions = split(point)
            return self.residual(self.classes(family, theta), fractions)

        def jacobian(point: Floats) -> Floats:
            return self.jacobian(family, *split(point))

        margin = 1e-6 * (high - low)
        fitted = least_squares(
            residual,
            np.clip(begin, low + margin, high - margin),
            jacobian,
            bounds=(low, high),
            x_scale=np.concatenate([np.maximum(family.step, 0.01), np.full(free, 0.1)]),
            max_nfev=15,
            xtol=1e-5,
        )
        return np.asarray(fitted.x[:k])

    def _fraction_columns(self, classes: Floats) -> Floats:
        apart = [((classes[c] - classes[0]) * self.data.root).ravel() for c in self._free]
        return np.stack(apart, axis=1) if apart else np.empty((self.data.cdf.size, 0))

    def covariance(self, family: Family, theta: Floats, fractions: Floats) -> Floats:
        """Covariance of parameters and free fractions: the sandwich of a minimum-distance fit.

        The parameters respond linearly to the distributions, and these are means over independent
        events, of data and of MC (White, Econometrica 50 (1982) 1). Rows of one MC event go
        together.
        """
        jacobian = self.jacobian(family, theta, fractions)
        if jacobian.shape[1] == 0:
            return np.zeros((0, 0))
        operator = np.linalg.pinv(jacobian, rcond=1e-8) * self.data.root.ravel()
        operator = operator.reshape(-1, *self.data.cdf.shape)
        total = spread(self.data.response(operator, self.data.features), self.data.weight)
        response = self.data.response(operator, self.mapped(family, theta))
        parts = np.zeros((len(operator), len(self._ids)))
        for number, fraction in enumerate(fractions):
            rows = np.flatnonzero(self._label == number)
            weight = self._weight[rows]
            if weight.sum() > 0:
                parts[:, rows] = fraction * centred(response[:, rows], weight)
        summed = of_events(parts, self._ids)
        return np.asarray(total + summed @ summed.T)

    def informed(
        self, family: Family, theta: Floats, fractions: Floats, covariance: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Parameters, fractions and covariance with what is known beforehand of the parameters.

        Measurement and prior are combined as Gaussians, correlations included.
        """
        mean, sigma = family.prior
        at = np.flatnonzero(np.isfinite(sigma))
        gain = covariance[:, at] @ np.linalg.inv(
            covariance[np.ix_(at, at)] + np.diag(sigma[at] ** 2)
        )
        change = gain @ (mean - theta)[at]
        low, high = family.bounds
        moved = np.clip(theta + change[: len(theta)], low, high)
        shares = fractions.copy()
        if self._free:
            shares[self._free] = np.clip(shares[self._free] + change[len(theta) :], 0.0, 1.0)
            shares[0] = 1.0 - shares[1:].sum()
        return moved, shares, np.asarray(covariance - gain @ covariance[at])


def centred(response: Floats, weight: Floats) -> Floats:
    """What each of n rows adds to the weighted means of (K, n) responses, less these means."""
    share = weight / weight.sum()
    return np.asarray((response - (response @ share)[:, None]) * share)


def of_events(parts: Floats, event_id: NDArray[np.uint64]) -> Floats:
    """(K, n) parts of rows, summed over the rows of each event: (K, events)."""
    event = np.unique(event_id, return_inverse=True)[1]
    return np.stack([np.bincount(event, row) for row in parts])


def spread(response: Floats, weight: Floats) -> Floats:
    """Covariance (K, K) of the weighted means of (K, n) responses of independent events."""
    parts = centred(response, weight)
    return np.asarray(parts @ parts.T)


def fit_family(
    family: Family, mc: Source, target: Target, *, held: bool = False, seed: int = 0
) -> FamilyFit:
    """Fit the parameters of a family, and the class fractions of the data with them.

    Starting points are compared and followed on a few thousand events; the best is followed on all
    events by least squares (the trust-region method of scipy).

    Args:
        family: the maps.
        mc: labelled events; those with a missing feature are left out.
        target: the data, likewise.
        held: keep the class fractions of MC.
        seed: of random directions, subsamples and the noise of maps.

    Raises:
        HepdannError: too few events.
    """
    few, whole = problems_of(finite(mc), finite(target), held=held, seed=seed)
    return fit_from(whole, family, explored(few, family)[1])


def explored(problem: Problem, family: Family) -> tuple[float, Floats]:
    """The best minimum that a family's starting points lead to: distance, and (K,) parameters.

    The problem is as a rule one of a few thousand events.
    """
    starts = family.starts()
    at_start = np.array([problem.distance(family, start) for start in starts])
    span = np.maximum(np.ptp(starts, axis=0), 1e-9)
    best, reached = starts[int(np.argmin(at_start))], float(at_start.min())
    followed: list[Floats] = []
    for index in np.argsort(at_start, kind="stable"):
        start = starts[index]
        if any((np.abs(start - other) / span).max() < _APART for other in followed):
            continue
        followed.append(start)
        theta = problem.minimum(family, start)
        distance = problem.distance(family, theta)
        if distance < reached:
            best, reached = theta, distance
        if len(followed) == _STARTS:
            break
    return reached, best


def fit_from(problem: Problem, family: Family, start: Floats) -> FamilyFit:
    """Follow a family to the nearest minimum; with fractions, covariance and distance there."""
    best, reached = start, problem.distance(family, start)
    theta = problem.minimum(family, start)
    distance = problem.distance(family, theta)
    if distance < reached:
        best, reached = theta, distance
    fractions = problem.fractions(problem.classes(family, best))
    covariance = problem.covariance(family, best, fractions)
    k = len(best)
    if np.isfinite(family.prior[1]).any():
        best, fractions, covariance = problem.informed(family, best, fractions, covariance)
        reached = problem.distance(family, best)
    moves = problem.jacobian(family, best, fractions)[:, :k]
    variation = leading_variation(covariance[:k, :k], moves)
    return FamilyFit(family, best, fractions, covariance, reached, problem.held, variation)


def leading_variation(covariance: Floats, jacobian: Floats) -> Floats:
    """The variation (K,) of one standard error that changes the distributions most.

    It follows from the covariance (K, K) and the derivatives (n, K) of the distributions.
    """
    if not len(covariance):
        return np.zeros(0)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    moved = jacobian @ root
    principal = np.linalg.eigh(moved.T @ moved)[1][:, -1]
    variation = root @ principal
    return np.asarray(variation * (1.0 if variation.sum() >= 0 else -1.0))


def problems_of(mc: Source, target: Target, *, held: bool, seed: int) -> tuple[Problem, Problem]:
    """The comparison of MC with data that have no missing values: on a few events, and on most."""
    made = []
    for most, directions in ((_FEW, _DIRECTIONS // 2), (_MOST, _DIRECTIONS)):
        generator = np.random.default_rng([seed, 0xF1])
        some, data = drawn(mc, most, generator), drawn(target, most, generator)
        weight = np.asarray(data.weight, dtype=np.float64)
        features = np.asarray(data.features, dtype=np.float64)
        along = Marginals(features, weight, directions=directions, seed=seed)
        made.append(Problem(some, along, held=held, seed=seed))
    return made[0], made[1]


def finite(events: _Events) -> _Events:
    """The events without a missing feature."""
    return events.take(np.flatnonzero(np.isfinite(events.features).all(axis=1)))
