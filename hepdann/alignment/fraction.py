"""The class fractions of an unlabelled target, estimated beside a shift of its features.

With π the target's fractions and T_π the map that aligns the target with the source reweighted to
π, the estimate is the π at which the two cannot be distinguished. A wrong π shows most in the score
of the mixture: with probabilities p(x) of a class at the fraction π,

    ρ = p/π - (1 - p)/(1 - π),   ψ = ρ - Π ρ,   M(π) = ⟨ψ(T_π x)⟩_target - ⟨ψ(x)⟩_source,π = 0

where Π projects on sums of functions of one feature, which the map of each feature imitates anyway
(compare the efficient score of a semiparametric mixture: Bickel et al., "Efficient and Adaptive
Estimation", 1993). The classifier need not be right for M to vanish at the truth; a good one makes
the error small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import SchemaError
from ..stats import reweighting
from ..stats.ranking import auc_influence
from ..stats.reweighting import bin_edges, binned, boosted_trees
from ..stats.threads import one_thread, side_by_side
from ..tensors.source_and_target import Source, Target
from .base import common_width, drawn
from .registry import get

Floats = NDArray[np.float64]

_BINS = 16  # of the functions of one feature
_FINE = 128  # of what the classifiers see of a feature
_GRID = np.linspace(-2.4, 1.6, 9)  # log odds that are tried, around the source's
_REFINEMENTS = 3
_SWEEPS = 2  # over the classes, if there are more than two
_HALVES = 16  # drawn for the error
_PARTITIONS = 4  # ways to halve the samples; one of them alone adds as much noise as the events
_SIGMAS = 4.0  # below this a difference from the source's fractions is none
_EXPLAINED = 0.67  # share of the residual separation that a label shift has to explain
_BLUR = 0.1
_SMALL = 0.012  # a residual AUC below .5 + this is none
_DROP = 0.02  # by which the residual AUC must fall, at least
_CLEAR = 0.045  # by which it falls under no smearing, whatever remains

_trees = partial(boosted_trees, iterations=25, learning_rate=0.2, smallest=40)


@dataclass(frozen=True, eq=False)
class FractionEstimate:
    """Class fractions of a target.

    Attributes:
        value: (C,) estimated fractions, which sum to 1.
        error: (C,) their standard errors, of the sizes of both samples; NaN, and ``value`` the
            source's fractions, where no fraction makes the samples alike.
        source: (C,) fractions of the source, by weight.
        residual: held-out AUC between aligned target and source with the source's fractions, and
            with the estimated ones, NaN where these differ by fewer than 4 standard errors.
        shift: whether the fractions differ: by more than 4 standard errors, and with most of what
            a classifier still distinguishes explained by it, at least .02 of AUC. A shift that the
            alignment cannot undo imitates a label shift, as smearing does: it loosens the features'
            dependence as less signal would. A label shift that explains less is not claimed.
    """

    value: Floats
    error: Floats
    source: Floats
    residual: tuple[float, float]
    shift: bool

    @property
    def fractions(self) -> Floats:
        """(C,) what to use: the estimate if it is a shift, the source's fractions if not."""
        return self.value if self.shift else self.source

    def sentence(self, classes: Sequence[str]) -> str:
        """The estimate in words, with these names of the classes."""
        pairs = zip(classes, self.value, self.error, self.source, strict=True)
        figures = [f"{name} {v:.3f} ± {e:.3f} ({s:.3f} in MC)" for name, v, e, s in pairs]
        if not np.isfinite(self.error).all():
            return "no class fractions make the aligned MC and the target alike"
        verdict = "a label shift" if self.shift else "no label shift that is told from others"
        return f"{', '.join(figures[1:] if len(figures) == 2 else figures)}: {verdict}"


def source_fractions(source: Source) -> Floats:
    """(C,) class fractions by weight.

    Raises:
        SchemaError: a class without a positive sum of weights.
    """
    sums = reweighting.class_sums(source.label, source.weight, len(source.classes))
    if not (sums > 0).all():
        absent = [c for c, total in zip(source.classes, sums, strict=True) if not total > 0]
        raise SchemaError(f"the weights of class {', '.join(absent)} have no positive sum")
    return np.asarray(sums / sums.sum())


def at_fractions(source: Source, fractions: NDArray[np.floating]) -> Source:
    """The source with weights that give its classes the fractions (C,).

    The sum of the weights stays.
    """
    wanted = np.asarray(fractions, dtype=np.float64)
    present = source_fractions(source)
    weight = reweighting.reweighted(source.weight, source.label, present, wanted)
    return replace(source, weight=weight)


def estimate_fractions(
    source: Source, target: Target, *, seed: int = 0, max_events: int = 20_000
) -> FractionEstimate:
    """Estimate the target's class fractions while a quantile map undoes the shift of its features.

    The map is fitted anew for every fraction that is tried; the estimate is right where it can be.

    Args:
        source: labelled events.
        target: unlabelled events.
        seed: of the halves and the classifiers.
        max_events: at most so many of each sample are used.

    Returns:
        The estimate.

    Raises:
        SchemaError: different numbers of features, fewer than two classes, or a class of the
            source without positive weight.
    """
    common_width(target, source)
    if len(source.classes) < 2:
        raise SchemaError("there are no class fractions with one class")
    generator = np.random.default_rng([seed, 0xF4])
    source, target = drawn(source, max_events, generator), drawn(target, max_events, generator)
    start = source_fractions(source)
    with one_thread():
        problem = _Problem(source, target, seed)
        value, error = _solve(problem, start)
        beyond = np.abs(value - start) > _SIGMAS * error
        significant = bool(np.isfinite(error).all() and beyond.any())
        judged = [start, value] if significant else [start]
        areas = side_by_side(partial(problem.separation, one) for one in judged)
        residual = (areas[0], areas[1] if significant else np.nan)
    drop, left = residual[0] - residual[1], residual[1] - 0.5
    explained = drop > _CLEAR or left < max(_SMALL, (1 - _EXPLAINED) * (residual[0] - 0.5))
    shift = significant and explained and drop > _DROP
    return FractionEstimate(value, error, start, residual, shift)


def _solve(problem: _Problem, start: Floats) -> tuple[Floats, Floats]:
    """Fractions at which every class's M is 0, and their errors; NaN if there are none."""
    classes = len(start)
    value, error = start, np.full(classes, np.nan)
    for c in [1] if classes == 2 else [*range(classes)] * _SWEEPS:
        root = _root(problem, value, c)
        if root is None:
            return start, np.full(classes, np.nan)
        value = _with(value, c, root)
        error[c] = problem.error(value, c)
    if classes == 2:
        error[0] = error[1]
    return value, error


def _root(problem: _Problem, at: Floats, c: int) -> float | None:
    """The zero of M along class c that is nearest to where the class stands; M falls there."""

    def moment(odds: float) -> float:
        return problem.moment(_with(at, c, _unlogit(odds)), c)

    grid = float(np.log(at[c] / (1 - at[c]))) + _GRID
    value = cache(lambda i: moment(float(grid[i])))
    outwards = sorted(range(len(grid) - 1), key=lambda i: abs(_GRID[i] + _GRID[i + 1]))
    i = next((i for i in outwards if value(i) > 0 >= value(i + 1)), None)
    if i is None:
        return None
    low, high, m_low, m_high = grid[i], grid[i + 1], value(i), value(i + 1)
    for _ in range(_REFINEMENTS):
        odds = low + (high - low) * m_low / (m_low - m_high)
        m = moment(odds)
        if m > 0:
            low, m_low = odds, m
        else:
            high, m_high = odds, m
    return _unlogit(low + (high - low) * m_low / (m_low - m_high))


def _unlogit(odds: float) -> float:
    return float(1 / (1 + np.exp(-odds)))


def _with(fractions: Floats, c: int, value: float) -> Floats:
    """Fractions with that of class c changed and the others in proportion."""
    changed = fractions * (1 - value) / (1 - fractions[c])
    changed[c] = value
    return np.asarray(changed)


@dataclass(frozen=True, eq=False)
class Partition:
    """Halves of both samples, and classifiers that were trained on the other half of the source."""

    halves: tuple[NDArray[np.intp], ...]
    trees: Sequence[Any]
    classes: int

    @classmethod
    def of(
        cls, source: Source, size: int, bins: Floats, make: Any, generator: np.random.Generator
    ) -> Self:
        """Halve the source and a target of some size; ``make`` fits trees to (N, F) bins."""
        halves = tuple(generator.permutation(n) % 2 for n in (len(source), size))
        trees = []
        for half in (0, 1):
            rows = halves[0] != half
            weight = np.abs(source.weight[rows]) + 1e-12
            trees.append(make(bins[rows], source.label[rows], weight))
        return cls(halves, trees, len(source.classes))

    def probabilities(self, bins: Floats, halves: NDArray[np.intp]) -> Floats:
        """(N, C) of events of these halves, by the classifier of the other half."""
        out = np.zeros((len(bins), self.classes))
        for half, trees in enumerate(self.trees):
            rows = halves == half
            out[np.ix_(rows, trees.classes_)] = trees.predict_proba(bins[rows])
        return out


class _Problem:
    """Both samples, halved in several ways."""

    def __init__(self, source: Source, target: Target, seed: int) -> None:
        self.source, self.target, self.seed = source, target, seed
        self.kind = get("quantile")
        self.prior = source_fractions(source)
        generator = np.random.default_rng([seed, 0xF5])
        self.edges, self.fine = (bin_edges(source.features, n) for n in (_BINS, _FINE))
        bins = binned(source.features, self.fine)
        make = partial(_trees, seed=seed)
        self.partitions = [
            Partition.of(source, len(target), bins, make, generator) for _ in range(_PARTITIONS)
        ]
        self.of_source = [p.probabilities(bins, p.halves[0]) for p in self.partitions]
        self.base = self._functions(source.features)

    def _functions(self, x: NDArray[np.floating]) -> Any:
        """(N, B) of what a sum of functions of one feature is made: 1, and indicators of bins."""
        from scipy.sparse import csr_array

        before = np.cumsum([0, *map(len, self.edges)])
        bins = binned(x, self.edges).astype(np.int32)
        columns = np.hstack([np.zeros((len(x), 1), np.int32), bins + before[:-1]])
        indicator = np.hstack([np.ones((len(x), 1)), bins > 0])  # of a feature's first bin, none
        at = np.arange(0, columns.size + 1, columns.shape[1])
        return csr_array((indicator.ravel(), columns.ravel(), at), (len(x), before[-1] + 1))

    def _score(self, probabilities: Sequence[Floats], fractions: Floats, c: int) -> Floats:
        """(N,) ρ of class c, mean over the partitions, at other fractions than the source's."""
        scores = []
        for probability in probabilities:
            p = probability * (fractions / self.prior)
            q = p[:, c] / np.maximum(p.sum(axis=1), 1e-12)
            scores.append(q / fractions[c] - (1 - q) / (1 - fractions[c]))
        return np.asarray(np.mean(scores, axis=0))

    def moment(
        self, fractions: Floats, c: int, drawn: Sequence[NDArray[np.intp]] | None = None
    ) -> float:
        """M of class c at these fractions (C,) of all classes, the mean over the partitions.

        Of rows of source and target that were drawn, it is that of one partition.
        """
        parts = self.partitions[: None if drawn is None else 1]
        rows = drawn or [np.arange(len(events)) for events in (self.source, self.target)]
        source, target = self.source.take(rows[0]), self.target.take(rows[1])
        source, base = at_fractions(source, fractions), self.base[rows[0]]
        x = self.kind.fit(target, source, seed=self.seed).apply(target.features)
        w, v = (np.asarray(e.weight / e.weight.sum(), np.float64) for e in (source, target))
        known, bins = self.of_source[: len(parts)], binned(x, self.fine)
        inside = self._score([p[rows[0]] for p in known], fractions, c)
        gram = (base.T @ (base * w[:, None])).toarray()
        gram[np.diag_indices_from(gram)] += 1e-9
        fit = np.linalg.solve(gram, base.T @ (w * inside))
        psi = inside - base @ fit
        of_target = side_by_side(
            partial(p.probabilities, bins, p.halves[1][rows[1]]) for p in parts
        )
        target_psi = self._score(of_target, fractions, c) - self._functions(x) @ fit
        return float(v @ target_psi - w @ psi)

    def error(self, fractions: Floats, c: int) -> float:
        """Standard error of a root: the spread of M over random halves, divided by its slope.

        Halves drawn without replacement spread as samples of the full size do (Shao and Wu, Ann.
        Stat. 17 (1989) 1176, the jackknife that deletes half).
        """
        step = 0.05 * fractions[c] * (1 - fractions[c])
        ends = [_with(fractions, c, fractions[c] + sign * step) for sign in (-2, 2)]
        low, high = side_by_side(partial(self.moment, end, c) for end in ends)
        slope = (high - low) / (4 * step)
        generator = np.random.default_rng([self.seed, 0xF6])
        sizes = (len(self.source), len(self.target))
        halves = [
            [np.sort(generator.permutation(n)[: n // 2]) for n in sizes] for _ in range(_HALVES)
        ]
        moments = side_by_side(partial(self.moment, fractions, c, drawn) for drawn in halves)
        return float(np.std(moments, ddof=1) / max(abs(slope), 1e-12))

    def separation(self, fractions: Floats) -> float:
        """Held-out AUC of a classifier between the aligned target and the reweighted source.

        The map too is fitted on the other half: on the events of its fit it leaves less than
        nothing. On those both samples have equal distributions of each feature, on which no tree
        would begin; a blur of a tenth of the features' widths, the same for both, lets it.
        """
        source, target = at_fractions(self.source, fractions), self.target
        weights = [
            np.asarray(e.weight / np.abs(e.weight).mean(), np.float64) for e in (source, target)
        ]
        weight = np.concatenate(weights)
        is_target = np.repeat([False, True], [len(source), len(target)])
        halves = self.partitions[0].halves
        half = np.concatenate(halves)
        blur = np.random.default_rng([self.seed, 0xF7]).normal(size=(len(half), len(self.fine)))
        blur *= _BLUR * np.nan_to_num(np.nanstd(source.features, axis=0))
        areas = []
        for held in (0, 1):
            fit, judge = half != held, half == held
            rows = [np.flatnonzero(one != held) for one in halves]
            fitted = self.kind.fit(target.take(rows[1]), source.take(rows[0]), seed=self.seed)
            x = np.concatenate([source.features, fitted.apply(target.features)])
            features = binned(x + blur, self.fine)
            other = is_target[fit] ^ (weight[fit] < 0)
            trees = _trees(features[fit], other, np.abs(weight[fit]), seed=self.seed)
            score = trees.predict_proba(features[judge])[:, 1]
            areas.append(auc_influence(score, is_target[judge], weight[judge])[0])
        return float(np.mean(areas))
