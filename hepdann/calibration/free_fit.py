"""The search for a free map: where the data's folds are, and then all parameters together.

Several maps of each feature are found by sorting, matching and least squares in turns, and the
combination is chosen by what the features do together. All parameters are then fitted: on few
events from several starting points, of which fewer are followed on more events each time. At last
the map of each feature is exchanged for the others that it might have.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..tensors import Source, Target
from .fit import drawn, finite, leading_variation
from .free import FreeMap, ramp
from .free_problem import FreeProblem

__all__ = ["fit_free", "shared_values"]

Floats = NDArray[np.float64]

_FIRST, _FEW, _MOST = 3_000, 4_000, 30_000  # events of each side in search, refinement and fit
_WAVES = 6  # of the random maps that the search of one feature begins with
_STARTS = 50  # of the map of one feature
_TURNS = 30  # of sorting and matching
_KEPT = 7  # distinct maps of one feature
_APART = 0.003  # mean square, in units of the variance, from which two maps are distinct
_COMBINATIONS = 6  # starts of the search over combinations
_LEVELS = (4, 3), (8, 1)  # steps, and points that are followed after them
_ROUNDS = 2  # of exchanges
_TRIED = 7  # of the maps of a feature, in a round
_SPIKE = 0.005  # share of the events from which a value is one that many share
_SMALL, _SMOOTH = 0.4, 0.6  # coefficients and their second differences: drawn to 0 so strongly
_PULLS = 1.0, 0.25  # of this, in two searches side by side, the second as in the fit to all events
_RIDGE = 1.2  # over the events: of all parameters, toward the identity, as strong as noise is

Maps = dict[int, list[Floats]]


def fit_free(
    mc: Source, target: Target, *, seed: int = 0, directions: int = 48
) -> tuple[FreeMap, float, Floats]:
    """Fit a free map to the data at given class fractions of MC.

    Args:
        mc: labelled events, at the class fractions of the data as far as they are known; those
            with a missing feature are left out.
        target: the data, likewise.
        seed: of the search.
        directions: random directions beside the features.

    Returns:
        The map, the mean squared difference of the distributions that is left, and the change of
        all parameters, one standard error of it, that changes the distributions most.
    """
    mc, target = finite(mc), finite(target)
    identity = FreeMap.identity(np.asarray(mc.features, dtype=np.float64))
    generator = np.random.default_rng([seed, 0xF3])
    pull = _RIDGE / min(len(mc), len(target), _MOST)

    def problem(most: int, along: int, strength: float) -> FreeProblem:
        few = drawn(mc, most, generator), drawn(target, most, generator)
        return FreeProblem(
            *few,
            identity,
            seed=seed,
            directions=along,
            pull=pull,
            small=_SMALL * strength,
            smooth=_SMOOTH * strength,
        )

    levels = [
        (problem(_FIRST, directions // 2, s), problem(_FEW, directions // 2, s)) for s in _PULLS
    ]
    first, search = levels[-1]
    whole = problem(_MOST, directions, _PULLS[-1])
    maps = {j: [np.zeros(first.shape[1]), *_maps_of(first, j, generator)] for j in first.varying}

    def searched(number: int) -> tuple[float, Floats]:
        draws = np.random.default_rng([seed, 0xF3, number])
        return search.refine(_searched(*levels[number], maps, draws), 15)

    with ThreadPoolExecutor(len(levels)) as pool:
        ends = list(pool.map(searched, range(len(levels))))
    _, point = whole.refine(min(ends, key=lambda end: end[0])[1], 10)
    theta, smear, mixing = whole.split(point)
    fitted = replace(identity, theta=theta, smear=smear, mixing=mixing)
    moves = np.zeros((first.data.cdf.size, len(point)))
    moves[:, first.columns(first.varying)] = first.jacobian(point, first.varying)
    share = len(first.x) / min(len(mc), len(target))  # of the events, on which it is computed
    variation = leading_variation(share * first.covariance(point), moves)
    x = np.asarray(mc.features, dtype=np.float64)
    mapped = replace(fitted, smear=np.zeros_like(fitted.smear)).apply(x, fitted.theta, 0)
    spikes = shared_values(mapped, mc, target)
    return replace(fitted, spikes=spikes), whole.distance(point), variation


def _searched(
    first: FreeProblem, search: FreeProblem, maps: Maps, generator: np.random.Generator
) -> Floats:
    """The best point that is found on few events."""
    points = _combinations(first, maps, generator)
    for level, (steps, followed) in zip((first, search), _LEVELS, strict=True):
        refined = sorted((level.refine(point, steps) for point in points), key=lambda r: r[0])
        points = [point for _, point in refined[:followed]]
    return _exchanged(search, maps, points[0])[1]


def _maps_of(problem: FreeProblem, j: int, generator: np.random.Generator) -> list[Floats]:
    """Distinct coefficients (K,) of one feature: of the monotone maps, then the best first."""
    n = min(len(problem.x), len(problem.y))
    x, basis, y = problem.x[:n, j], problem.basis[:n, j], np.sort(problem.y[:n, j])
    k = basis.shape[1]
    second = np.diff(np.eye(k), 2, axis=0)
    unit = float(np.mean(basis.sum(axis=1) ** 2))  # of the range, in σ
    pull = 1e-5 * n * unit * (second.T @ second + 0.1 * np.eye(k))
    solve = np.linalg.inv(basis.T @ basis + pull) @ basis.T
    wave = np.cos(np.pi * np.outer(problem.u[:n, j], np.arange(_WAVES))) * unit**0.5
    width = 1.0 / np.maximum(1, np.arange(_WAVES))
    reached: list[tuple[float, Floats]] = []
    for start in range(_STARTS):
        # the first two lead to the maps that only rise and only fall
        size = (start // 2) / (_STARTS // 2)
        moved = (-1) ** start * x + size * (wave @ (generator.standard_normal(_WAVES) * width))
        for _ in range(_TURNS):
            matched = np.empty(n)
            matched[np.argsort(moved, kind="stable")] = y
            theta = solve @ (matched - x)
            moved = x + basis @ theta
        reached.append((float(np.mean((np.sort(moved) - y) ** 2)), theta))
    kept = [reached[0][1], reached[1][1]]
    for _, theta in sorted(reached, key=lambda r: r[0]):
        values = basis @ theta
        if len(kept) < _KEPT and all(
            np.mean((values - basis @ other) ** 2) > _APART * y.var() for other in kept
        ):
            kept.append(theta)
    return kept


def _combinations(problem: FreeProblem, maps: Maps, generator: np.random.Generator) -> list[Floats]:
    """Points from which the whole map is fitted: the identity, and the best combinations."""
    k, varying = problem.shape[1], problem.varying
    known: dict[tuple[int, ...], float] = {}

    def point(choice: tuple[int, ...]) -> Floats:
        start = problem.identity.copy()
        for j, index in zip(varying, choice, strict=True):
            start[j * k : (j + 1) * k] = maps[j][index]
        return start

    def cost(choice: tuple[int, ...]) -> float:
        if choice not in known:
            known[choice] = problem.objective(point(choice))[0]
        return known[choice]

    ends = {(0,) * len(varying), (1,) * len(varying)}  # the identity, and all that only rise
    for attempt in range(_COMBINATIONS):
        choice = tuple(
            min(attempt, 1) if attempt < 2 else int(generator.integers(len(maps[j])))
            for j in varying
        )
        for _ in range(3):
            before = choice
            for at, j in enumerate(varying):
                others = [(*choice[:at], q, *choice[at + 1 :]) for q in range(len(maps[j]))]
                choice = min(others, key=cost)
            if choice == before:
                break
        ends.add(choice)
    return [point(choice) for choice in sorted(ends)]


def _exchanged(problem: FreeProblem, maps: Maps, point: Floats) -> tuple[float, Floats]:
    """The best point that is reached by giving a feature another of its maps, one at a time.

    A map stands for the feature before the mixing, which has changed its scale meanwhile.
    """
    f, k = problem.shape
    value = problem.objective(point)[0]
    for _ in range(_ROUNDS):
        before = value
        for j in problem.varying:
            scale = point[f * k + f + j * f + j]
            line = ramp(problem.map, j)  # coefficients that give the feature itself
            others = []
            for theta in maps[j] if abs(scale) > 0.2 else []:
                moved = point.copy()
                moved[j * k : (j + 1) * k] = (theta + line) / scale - line
                others.append((problem.objective(moved)[0], moved))
            for _, start in sorted(others, key=lambda pair: pair[0])[:_TRIED]:
                reached, moved = problem.refine(start, 3, [j])
                if reached < value:
                    value, point = reached, moved
        if value > 0.98 * before:
            break
        value, point = problem.refine(point, 4)
    return value, point


def shared_values(
    mapped: Floats, mc: Source, target: Target
) -> tuple[tuple[int, float, float], ...]:
    """Pairs of values that many events of MC, mapped to (N, F), and as many of the data share.

    Returns:
        Feature, value in MC, value in the data.
    """
    pairs = []
    for j in range(mapped.shape[1]):
        shares = _heavy(target.features[:, j])
        for before, share in _heavy(mc.features[:, j]).items():
            at = float(np.median(mapped[mc.features[:, j] == before, j]))
            after = min(shares, key=lambda v: abs(v - at), default=math.nan)
            if abs(shares.get(after, 0.0) - share) < 0.5 * share:
                pairs.append((j, before, after))
    return tuple(pairs)


def _heavy(column: NDArray[np.floating]) -> dict[float, float]:
    """Values that many events share, and their share."""
    values, counts = np.unique(column, return_counts=True)
    share = counts / len(column)
    return {float(v): float(s) for v, s in zip(values, share, strict=True) if s > _SPIKE}
