"""What scores tell of nuisances of the MC and of mixtures of the target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import HepdannError
from ..outputs import jsonable
from ..registry import SOURCE_ONLY
from ..stats import (
    Cut,
    auc,
    best_thresholds,
    cut_at,
    nuisance_bins,
    rank_in_bins,
    slice_distance,
    weighted_mean,
)
from ..stats.histograms import binning
from ..store.reading import config_of
from ..store.scores_reader import RunScores
from .run_columns import RunColumns

EFFICIENCIES = (0.3, 0.5, 0.7, 0.9)  # of the signal
PER_BIN = "threshold per bin"
BEST = "best threshold"
_TIMES = 5.0  # source-only's 1/JSD at an efficiency of 50 %, that BEST shall reach
_STRENGTHS = (0.0, 0.5, *np.geomspace(1, 32, 21))
_LEAST = 1e-7  # of a probability, in a logit
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Nuisance:
    """A nuisance of a run, and what the scores tell of it. The signal is the last class.

    Attributes:
        name: as the run was given it.
        scores: of the run.
        values: (N,) of the MC.
        counted: names of the classes whose events were to be made independent; empty is all.
    """

    name: str
    scores: RunScores
    values: Floats
    counted: tuple[str, ...] = ()

    @cached_property
    def _label(self) -> NDArray[np.integer]:
        return np.asarray(self.scores.column("mc", "label"))

    @cached_property
    def _weight(self) -> Floats:
        return np.asarray(self.scores.column("mc", "weight"), dtype=np.float64)

    @cached_property
    def _test(self) -> NDArray[np.bool_]:
        return self.scores.rows("mc", "test") & np.isfinite(self.values)

    @cached_property
    def signal(self) -> NDArray[np.bool_]:
        """(N,) events of the last class."""
        return np.asarray(self._label == len(self.scores.classes) - 1)

    @cached_property
    def _counts(self) -> NDArray[np.bool_]:
        known = [self.scores.classes.index(name) for name in self.counted]
        return np.isin(self._label, known) if known else np.ones(len(self._label), np.bool_)

    def score(self, method: str) -> Floats:
        """(N,) score of the signal.

        Of :data:`PER_BIN` it is the rank of source-only's score in each bin, of :data:`BEST` the
        logit of that score less the threshold there. Both are taken from events outside the test
        split; of a run in folds, which has none, each half of the events takes them from the other.
        """
        if method not in (PER_BIN, BEST):
            return np.asarray(self.scores.score("mc", method)[:, -1], dtype=np.float64)
        score = self.score(SOURCE_ONLY)
        within = ~self.signal if method == BEST else None
        where = nuisance_bins(self.values, within=within)
        if method == BEST:
            score = np.log(np.clip(score, _LEAST, 1)) - np.log(np.clip(1 - score, _LEAST, 1))
        half = np.zeros(len(score), np.intp)
        if self.scores.folds:
            half = np.arange(len(score)) % 2
        rank = np.empty(len(score))
        for part in np.unique(half):
            judged = half == part
            fitted = ~judged if self.scores.folds else self.scores.rows("mc", "train", "validation")
            if method == BEST:
                rank[judged] = self._subtracted(score, where, fitted)[judged]
                continue
            rows = ~self.signal & fitted
            rank[judged] = rank_in_bins(
                (score[rows], self._weight[rows]), where[rows], score[judged], where[judged]
            )
        return rank

    def _subtracted(
        self, logit: Floats, where: NDArray[np.intp], fitted: NDArray[np.bool_]
    ) -> Floats:
        """(N,) logit less the threshold at the nuisance, of which half of the signal has more.

        The thresholds are :func:`hepdann.stats.best_thresholds` of the least strength at which the
        events that they are taken from have five times source-only's 1/JSD, as it would be of all
        events.
        """
        signal, background = (
            (logit[rows], self._weight[rows], where[rows])
            for rows in (fitted & self.signal, fitted & ~self.signal)
        )
        places = [float(np.median(self.values[where == b])) for b in range(int(where.max()) + 1)]
        offsets, first, fewer = None, math.nan, 1 - fitted.mean()
        for strength in _STRENGTHS:
            offsets, common = best_thresholds(signal, background, strength, offsets)
            new = logit - common - np.interp(self.values, places, offsets)
            kept = [
                (new[fitted & s], self._weight[fitted & s]) for s in (self.signal, ~self.signal)
            ]
            cut = cut_at(0.5, kept[0], kept[1], background[2])
            jsd = cut.jsd - fewer * cut.floor
            first = jsd if strength == 0 else first
            if not jsd > first / _TIMES:
                break
        return np.asarray(new)

    def figures(self, method: str) -> dict[str, Any]:
        """Distance of the score between slices of the nuisance, and cuts that keep the signal."""
        score, rows = self.score(method), self._test
        distance, places = slice_distance(score, self.values, self._weight, rows & self._counts)
        cuts = []
        for efficiency in EFFICIENCIES:
            cut = self._cut(score, efficiency)
            passing, jsd = cut.background_efficiency, cut.jsd
            inverse = {
                "rejection": 1 / passing if passing > 0 else None,
                "inverse_jsd": 1 / jsd if jsd > 0 else None,
            }
            cuts.append(asdict(cut) | inverse)
        return dict(jsonable({"ks": distance, "slices": places, "cuts": cuts}))

    def _cut(self, score: Floats, efficiency: float) -> Cut:
        """A cut that keeps a share of the signal, on the test split."""
        signal, background = self._test & self.signal, self._test & ~self.signal
        kept, refused = ((score[rows], self._weight[rows]) for rows in (signal, background))
        return cut_at(efficiency, kept, refused, nuisance_bins(self.values[background]))

    def shapes(self, method: str) -> dict[str, Floats]:
        """Background against the nuisance before and after a cut at half the signal; edges.

        Each has the area 1.
        """
        background, score = self._test & ~self.signal, self.score(method)
        edges = binning(self.values[background], bins=25)
        passing = background & (score > self._cut(score, 0.5).threshold)
        before, after = (
            np.histogram(self.values[rows], edges, weights=self._weight[rows])[0]
            for rows in (background, passing)
        )
        return {"edges": edges, "before": before / before.sum(), "after": after / after.sum()}

    def profile(self, method: str) -> dict[str, Floats]:
        """Mean score of the events that count, in bins of equally many; edges."""
        rows, score = self._test & self._counts, self.score(method)
        edges = np.unique(np.quantile(self.values[rows], np.linspace(0.005, 0.995, 16)))
        x, w, s = (v[rows] for v in (self.values, self._weight, score))
        total, sums = (np.histogram(x, edges, weights=v)[0] for v in (w, w * s))
        mean = np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0)
        return {"edges": edges, "mean": mean}


def nuisances_of(scores: RunScores) -> list[Nuisance]:
    """The nuisances that a run was given, as its configuration names them.

    Raises:
        HepdannError: the tensor file that they stand in is gone.
    """
    train, columns = config_of(scores.path.parent).train, RunColumns(scores)
    return [
        Nuisance(name, scores, columns.values("mc", name), tuple(train.nuisance_classes or ()))
        for name in train.nuisance or ()
    ]


def nuisance_figures(scores: RunScores, methods: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """By nuisance and method what :meth:`Nuisance.figures` says, and of what needs no training."""
    try:
        nuisances = nuisances_of(scores)
    except HepdannError:
        return {}
    names = [*methods, *([BEST, PER_BIN] if SOURCE_ONLY in methods else [])]
    return {one.name: {name: one.figures(name) for name in names} for one in nuisances}


def mixture_figures(scores: RunScores, methods: Sequence[str]) -> dict[str, Any]:
    """Cuts and fractions of the mixtures of a run, and by method what its scores make of them.

    No label takes part. Of each method there are ``means``, the mean score of each mixture,
    ``auc``, between the first two, and ``flipped``: whether the scores fall where they should rise,
    with the known fractions, or without these from the second mixture to the first; of the single
    networks it is their number. Empty without mixtures, or where the tensor file that holds their
    columns is gone.
    """
    mixtures = config_of(scores.path.parent).train.mixtures or []
    try:
        columns = RunColumns(scores)
        passed = [columns.passing("target", mixture.cut) for mixture in mixtures]
    except HepdannError:
        return {}
    if not passed:
        return {}
    number = np.where(np.any(passed, axis=0), np.argmax(passed, axis=0), -1)
    number[~scores.rows("target", "test")] = -1
    fractions = [mixture.fraction for mixture in mixtures]
    known = [f for f in fractions if f is not None]
    rising = known if len(known) == len(mixtures) else [-float(k) for k in range(len(mixtures))]
    weight = np.asarray(scores.column("target", "weight"), dtype=np.float64)
    figures, two = {}, (number == 0) | (number == 1)
    for method in methods:
        score = np.asarray(scores.score("target", method)[:, -1], dtype=np.float64)
        members = scores.members("target", method)
        figures[method] = {
            "means": (means := _means(score, weight, number, len(mixtures))),
            "auc": jsonable(auc(score[two], number[two] == 0, weight[two]).value),
            "flipped": _falls(means, rising),
            "members_flipped": None
            if members is None
            else sum(
                _falls(_means(m[:, -1], weight, number, len(mixtures)), rising) for m in members
            ),
        }
    return {
        "cuts": [mixture.cut for mixture in mixtures],
        "fractions": fractions,
        "events": [int((number == k).sum()) for k in range(len(mixtures))],
        "methods": figures,
    }


def _means(score: Any, weight: Any, number: Any, count: int) -> list[float | None]:
    parts = [number == k for k in range(count)]
    means: list[float | None] = jsonable([weighted_mean(score[p], weight[p]).value for p in parts])
    return means


def _falls(means: Sequence[float | None], rising: Sequence[float]) -> bool:
    """Whether the means fall with what they should rise with."""
    pairs = [(m, r) for m, r in zip(means, rising, strict=True) if m is not None]
    values = np.array(pairs)
    if len(values) < 2:
        return False
    centred = values - values.mean(axis=0)
    return bool((centred[:, 0] * centred[:, 1]).sum() < 0)
