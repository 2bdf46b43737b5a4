"""The search for a free map: where the data's folds are, and then all parameters together.

Several maps of each feature are found by sorting, matching and least squares in turns, and the
combination is chosen by what the features do together. All parameters are then fitted: on few
events from several starting points, of which fewer are followed on more events each time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..alignment.base import drawn
from ..compiled import function
from ..stats.threads import one_thread, side_by_side
from ..tensors import Source, Target
from .fit import finite, leading_variation
from .free import FreeMap, FreeObjects, FreeProblem
from .marginals import Marginals
from .objects import ObjectSource, ObjectTarget

Floats = NDArray[np.float64]

_FIRST, _FEW, _MOST = 3_000, 4_000, 30_000  # events of each side in search, refinement and fit
_WAVES = 6  # of the random maps that the search of one feature begins with
_STARTS = 100  # of the map of one feature
_TURNS = 30  # of sorting and matching
_STILL = 3e-4  # of the range, change of coefficients at which they stand still
_KEPT = 12  # distinct maps of one feature, of those that fit and bend least
_BENT = 3e-4  # weight of second differences of coefficients, beside mean square distances
_APART = 0.003  # mean square, in units of the variance, from which two maps are distinct
_COMBINATIONS = 8  # of maps of all features, that are followed
_TRIALS = 100  # random combinations that are improved
_LEVELS = (2, 4), (3, 2), (8, 1)  # steps, and points that are followed after them
_STEPS = 10  # of what is followed further
_OPEN = 2.0  # over the events: of what is minimised, from which a mixing is looked for
_ANGLES = 8  # of a turn of two features, within half a turn
_PAIRS = 45  # pairs of features that are turned, at random if there are more
_DOUBTED = 3  # pairs of features of which two angles are tried
_TURNED = 1_000  # events on which turns are compared
_SPIKE = 0.005  # share of the events from which a value is one that many share
_TIGHT = 4.0, 1.0  # two searches side by side, the first of smaller and smoother maps
_RIDGE = 1.2  # over the events: of all parameters, toward the identity, as strong as noise is

Maps = dict[int, list[Floats]]
End = tuple[float, Floats]  # what is minimised, and the point


@one_thread()
def fit_free(
    mc: Source, target: Target, *, seed: int = 0, directions: int = 48
) -> tuple[FreeMap, float, Callable[[], Floats]]:
    """Fit a free map to the data at given class fractions of MC.

    The MC are at the class fractions of the data as far as these are known; events with a missing
    feature are left out. Random directions stand beside the features.

    Returns:
        The map, the mean squared difference of the distributions that is left, and what computes
        the change of all parameters, one standard error of it, that changes the distributions most.
    """
    mc, target = finite(mc), finite(target)
    identity = FreeMap.identity(np.asarray(mc.features, dtype=np.float64))
    generator = np.random.default_rng([seed, 0xF3])
    pull = _RIDGE / min(len(mc), len(target), _MOST)

    def problem(most: int, along: int) -> FreeProblem:
        few = drawn(mc, most, generator), drawn(target, most, generator)
        return FreeProblem(*few, identity, seed=seed, directions=along, pull=pull)

    first, search = problem(_FIRST, directions // 2), problem(_FEW, directions // 2)
    noise = 1 / min(len(search.x), len(search.y))
    levels = [(first.tightened(s), search.tightened(s)) for s in _TIGHT]
    whole = problem(_MOST, directions)

    def followed(mixing: Floats) -> list[End]:
        starts = _starts(first, mixing, generator)
        return side_by_side([partial(_followed, *level, starts) for level in levels])

    ends = followed(np.eye(len(identity.sigma)))
    if min(ends, key=_value)[0] > _OPEN * noise:
        mixing = _turned(problem(_TURNED, directions // 2), generator)
        if mixing is not None:
            ends = [min(p, key=_value) for p in zip(ends, followed(mixing), strict=True)]

    def settled(end: End) -> End:
        return whole.refine(search.refine(end[1], _STEPS)[1], _STEPS)

    # few events do not distinguish all that all events do
    _, point = min(side_by_side([partial(settled, end) for end in ends]), key=_value)
    theta, smear, mixing = whole.split(point)
    fitted = replace(identity, theta=theta, smear=smear, mixing=mixing)

    def variation() -> Floats:
        moves = np.zeros((first.data.cdf.size, len(point)))
        moves[:, first.free] = first.jacobian(point)
        share = len(first.x) / min(len(mc), len(target))  # of the events, on which it is computed
        return leading_variation(share * first.covariance(point), moves)

    x = np.asarray(mc.features, dtype=np.float64)
    sharp = replace(fitted, smear=np.zeros_like(fitted.smear))
    mapped = sharp.apply(x, sharp.flat(), 0)
    spikes = shared_values(mapped, mc, target)
    return replace(fitted, spikes=spikes), whole.at(point).distance, variation


def fit_free_objects(
    mc: ObjectSource, target: ObjectTarget, *, seed: int, **options: int
) -> tuple[FreeObjects, Callable[[], Floats]]:
    """Fit free maps to the features of the event and of the objects, table by table.

    The arguments are those of :func:`fit_free`.

    Returns:
        The map, and what computes the change of all parameters, as of :func:`fit_free`.
    """
    maps: list[FreeMap | None] = []
    variations: list[Callable[[], Floats]] = []
    plain = Source(**{f.name: getattr(mc, f.name) for f in fields(Source)})
    data = Target(**{f.name: getattr(target, f.name) for f in fields(Target)})
    pairs = zip(mc.objects.as_events(plain), target.objects.as_events(data), strict=True)
    for source, of_data in pairs:
        if not (source.features.size and of_data.features.size):
            maps.append(None)
            continue
        fitted, _, one = fit_free(source, of_data, seed=seed, **options)
        maps.append(fitted)
        variations.append(one)
    made = FreeObjects(maps=tuple(maps))
    return made, lambda: np.concatenate([np.zeros(0), *(one() for one in variations)])


def _value(end: End) -> float:
    return end[0]


def _followed(first: FreeProblem, search: FreeProblem, points: Sequence[Floats]) -> End:
    """The best that points lead to, of which fewer are followed on more events."""
    refined: list[End] = []
    for level, (steps, followed) in zip((first, first, search), _LEVELS, strict=True):
        refined = sorted((level.refine(point, steps) for point in points), key=lambda r: r[0])
        refined = refined[:followed]
        points = [point for _, point in refined]
    return refined[0]


def _starts(
    problem: FreeProblem, mixing: Floats, generator: np.random.Generator, starts: int = _STARTS
) -> list[Floats]:
    """Points with a mixing and the best combinations of maps of single features."""
    f, k = problem.shape
    y = np.asarray(np.linalg.solve(mixing, problem.y.T).T, dtype=np.float64)
    maps = {
        j: [np.zeros(k), *_maps_of(problem, j, y[:, j], generator, starts)] for j in problem.varying
    }
    points = []
    for choice in _combinations(problem, y, maps, generator):
        point = problem.identity.copy()
        point[f * k + f :] = mixing.ravel()
        for j, index in zip(problem.varying, choice, strict=True):
            point[j * k : (j + 1) * k] = maps[j][index]
        points.append(point)
    return points


def _maps_of(
    problem: FreeProblem,
    j: int,
    data: Floats,
    generator: np.random.Generator,
    starts: int = _STARTS,
) -> list[Floats]:
    """Distinct coefficients (K,) of feature j: of the monotone maps, then the best first."""
    n, k = min(len(problem.x), len(data)), problem.shape[1]
    mc_rows, data_rows = (_alike(w, n, generator) for w in (problem.weight, problem.data.weight))
    basis = problem.basis[mc_rows, j * k : (j + 1) * k]
    x, y = problem.x[mc_rows, j], np.sort(data[data_rows])
    second = np.diff(np.eye(k), 2, axis=0)
    unit = float(np.mean(basis.sum(axis=1) ** 2))  # of the range, in σ
    pull = 1e-5 * n * unit * (second.T @ second + 0.1 * np.eye(k))
    solve = np.linalg.inv(basis.T @ basis + pull) @ basis.T
    wave = np.cos(np.pi * np.outer(problem.u[mc_rows, j], np.arange(_WAVES))) * unit**0.5
    width = 1.0 / np.maximum(1, np.arange(_WAVES))
    # the first two lead to the maps that only rise and only fall
    size = np.arange(starts)[:, None] // 2 / (starts // 2)
    random = generator.standard_normal((starts, _WAVES)) * width
    moved = np.where(np.arange(starts)[:, None] % 2, -x, x) + size * (random @ wave.T)
    thetas, turning = np.zeros((starts, k)), np.arange(starts)
    for _ in range(_TURNS):
        theta = (_matched(moved[turning], y) - x) @ solve.T
        moved[turning] = x + theta @ basis.T
        still = np.abs(theta - thetas[turning]).max(axis=1) < _STILL
        thetas[turning] = theta
        turning = turning[~still]
        if not len(turning):
            break
    bent = unit * np.sum((thetas @ second.T) ** 2, axis=1)
    left = np.mean((np.sort(moved) - y) ** 2, axis=1) + _BENT * bent
    kept = [thetas[0], thetas[1]]
    for theta in thetas[np.argsort(left)]:
        values = basis @ theta
        if len(kept) < _KEPT and all(
            np.mean((values - basis @ other) ** 2) > _APART * y.var() for other in kept
        ):
            kept.append(theta)
    return kept


def _matched(values: Floats, y: Floats) -> Floats:
    """Of each row of values (S, n), as many sorted ones at their ranks."""
    matched = np.empty_like(values)
    compute = function("match", np.float64, int, int, np.float64, np.float64, np.float64)
    if compute is not None:
        # whose cells are finer than a thousandth of the central width, where most events are
        low, middle, high = y[[len(y) // 6, len(y) // 2, -1 - len(y) // 6]]
        centre = np.array([middle, (high - low) / 2 or y.std() or 1.0])
        compute(values, *values.shape, centre, y, matched)
        return matched
    np.put_along_axis(matched, np.argsort(values), y[None], axis=1)
    return matched


def _alike(weight: Floats, n: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Rows of n events that count alike: the first, or drawn by weight where weights differ."""
    if np.ptp(weight) <= 1e-6 * np.abs(weight).max():
        return np.arange(n)
    share = np.maximum(weight, 0.0)
    return generator.choice(len(weight), n, p=share / share.sum())


def _tables(
    problem: FreeProblem, y: Floats, maps: Maps
) -> tuple[list[Floats], dict[tuple[int, int], Floats]]:
    """What is left by maps of single features, (q,) each, and by maps of pairs of them.

    ``y`` is (N, M) data before the mixing, ``maps`` those of each of these M features of the MC.
    """
    k, m = problem.shape[1], len(maps)
    data = Marginals(
        y, problem.data.weight[: len(y)], directions=min(2 * m * (m - 1), 20 * m), pairs=True
    )
    alone, mapped = [], []
    for j, thetas in maps.items():
        columns, theta = slice(j * k, (j + 1) * k), np.stack(thetas)
        mapped.append(problem.x[:, j] + theta @ problem.basis[:, columns].T)
        alone.append(np.sum((theta @ problem.penalty[:, columns].T) ** 2, axis=1))
    both: dict[tuple[int, int], Floats] = {}
    for row, direction in enumerate(data.directions.T):
        at = np.flatnonzero(direction).tolist()
        if len(at) == 1:
            alone[at[0]] += data.apart(row, direction[at] * mapped[at[0]], problem.weight)
        elif len(at) == 2:
            one, other = (direction[n] * mapped[n] for n in at)
            along = (one[:, None] + other[None]).reshape(-1, len(problem.x))
            apart = data.apart(row, along, problem.weight).reshape(len(one), len(other))
            both[at[0], at[1]] = both.get((at[0], at[1]), 0.0) + apart
    return alone, both


def _combinations(
    problem: FreeProblem, y: Floats, maps: Maps, generator: np.random.Generator
) -> list[tuple[int, ...]]:
    """The identity, all maps that only rise, and the combinations that fit pairs of features best.

    Random combinations are improved one feature at a time; ``y`` is (N, M) data before the mixing.
    """
    alone, both = _tables(problem, y[:, list(maps)], maps)
    ends: dict[tuple[int, ...], float] = {}

    def cost(choice: Sequence[int]) -> float:
        single = sum(table[q] for table, q in zip(alone, choice, strict=True))
        return float(single + sum(t[choice[a], choice[b]] for (a, b), t in both.items()))

    sizes = [len(thetas) for thetas in maps.values()]
    for _ in range(_TRIALS):
        choice = [int(generator.integers(size)) for size in sizes]
        before: list[int] = []
        while choice != before:
            before = list(choice)
            for n in range(len(choice)):
                left = alone[n].copy()
                for (a, b), table in both.items():
                    if n == a:
                        left += table[:, choice[b]]
                    elif n == b:
                        left += table[choice[a]]
                choice[n] = int(np.argmin(left))
        ends[tuple(choice)] = cost(choice)
    for end in list(ends):
        for n, size in enumerate(sizes):
            others = [(*end[:n], q, *end[n + 1 :]) for q in range(size)]
            ends.update((other, cost(other)) for other in others)
    best = sorted(ends, key=lambda end: ends[end])[:_COMBINATIONS]
    return list(dict.fromkeys([(0,) * len(sizes), (1,) * len(sizes), *best]))


def _turned(problem: FreeProblem, generator: np.random.Generator) -> Floats | None:
    """A mixing (F, F) that turns pairs of features, where maps of single ones then leave less.

    Of a pair two angles may do, that give the one feature the other's place; what they do together
    with the other features decides.
    """
    angles = np.pi * np.arange(_ANGLES) / _ANGLES
    turns = []
    pairs = list(itertools.combinations(problem.varying, 2))
    for n in generator.permutation(len(pairs))[:_PAIRS]:
        i, j = pairs[n]
        left = []
        for angle in angles:
            z = np.asarray(problem.y[:, [i, j]] @ _turn(angle).T, dtype=np.float64)
            maps = {
                f: _maps_of(problem, f, c, generator, 16) for f, c in zip((i, j), z.T, strict=True)
            }
            (one, other), both = _tables(problem, z, maps)
            left.append(float((one[:, None] + other + both[0, 1]).min()))
        good = [
            int(m) for m in np.argsort(left)[:2] if left[m] < 0.5 * left[0] - 2 / len(problem.y)
        ]
        if good:
            turns.append((left[0] - left[good[0]], (i, j), angles[good]))
    chosen: dict[tuple[int, int], Floats] = {}
    for _, pair, two in sorted(turns, key=lambda turn: -turn[0]):
        if not set(pair) & set(itertools.chain(*chosen)):
            chosen[pair] = two if len(chosen) < _DOUBTED else two[:1]
    if not chosen:
        return None

    def left_by(angles: Sequence[float]) -> End:
        mixing = np.eye(problem.shape[0])
        for pair, angle in zip(chosen, angles, strict=True):
            mixing[np.ix_(pair, pair)] = _turn(angle).T
        starts = _starts(problem, mixing, generator, 16)
        return min(problem.at(start).value for start in starts), mixing

    options = [left_by(angles) for angles in itertools.product(*chosen.values())]
    return min(options, key=_value)[1]


def _turn(angle: float) -> Floats:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


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
