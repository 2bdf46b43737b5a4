"""What a quick classifier of MC says of a shift: how its score moves, and of other fractions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..stats.distances import kolmogorov
from ..stats.figure import weighted_mean
from ..stats.reweighting import (
    bin_edges,
    binned_or_missing,
    boosted_trees,
    class_sums,
    reweighted,
)
from ..stats.threads import one_thread
from ..stats.two_sample import SIGNIFICANT, combined, rank_features, smallest_p_value, two_sample
from ..tensors import Source, Target

Floats = NDArray[np.float64]
_MOST = 20_000  # events that the classifier learns from
_BINS = 255


@dataclass(frozen=True)
class ScoreEffect:
    """How the score of a classifier trained on MC moves from MC to the target.

    Attributes:
        ks: largest distance between the weighted cumulative distributions of the score.
        p_value: of that distance between equal samples.
        accepted_mc: share of MC, by weight, that is given the last class (of two: the signal).
        accepted_target: the same of the target.
        error: standard error of the difference of the two.
    """

    ks: float
    p_value: float
    accepted_mc: float
    accepted_target: float
    error: float


class QuickClassifier:
    """Boosted trees that learn the classes of MC in about a second; no network, no target.

    An event of negative weight is given to them as one of the other class, or left out where there
    are more than two.
    """

    def __init__(self, mc: Source, seed: int = 0) -> None:
        rows = np.random.default_rng([seed, 3]).permutation(len(mc))[:_MOST]
        x, y = mc.features[rows].astype(np.float64), mc.label[rows]
        w = mc.weight[rows].astype(np.float64)
        if len(mc.classes) == 2:
            y = np.where(w < 0, 1 - y, y)
        else:
            kept = w > 0
            x, y, w = x[kept], y[kept], w[kept]
        self._edges = bin_edges(x, _BINS)
        self.classes = len(mc.classes)
        self._trees = boosted_trees(
            binned_or_missing(x, self._edges), y, np.abs(w),
            seed=seed, iterations=60, learning_rate=0.12, leaves=16,
        )  # fmt: skip

    def score(self, features: NDArray[np.floating]) -> Floats:
        """(N, C) class probabilities."""
        with one_thread():
            rows = binned_or_missing(features, self._edges)
            probabilities = self._trees.predict_proba(rows)
        out = np.zeros((len(features), self.classes))
        out[:, self._trees.classes_] = probabilities
        return out


def score_effect(classifier: QuickClassifier, mc: Target, target: Target) -> ScoreEffect:
    """Compare the score on MC that was not trained on with that on the target; no label is used."""
    scores = [classifier.score(s.features) for s in (mc, target)]
    weights = [np.asarray(s.weight, dtype=np.float64) for s in (mc, target)]
    columns = range(1, scores[0].shape[1])  # two classes have one score
    tests = [kolmogorov(scores[0][:, c], scores[1][:, c], *weights) for c in columns]
    ks, p_value = max(tests, key=lambda t: np.nan_to_num(t[0], nan=-1.0))
    shares = [
        weighted_mean((s.argmax(axis=1) == s.shape[1] - 1).astype(np.float64), w)
        for s, w in zip(scores, weights, strict=True)
    ]
    return ScoreEffect(
        ks,
        min(1.0, p_value * len(tests)),
        shares[0].value,
        shares[1].value,
        float(np.hypot(shares[0].error, shares[1].error)),
    )


_REPLICAS = 100


@dataclass(frozen=True)
class LabelShift:
    """Class fractions of the target, if nothing but the fractions differs.

    Attributes:
        classes: their names.
        mc: (C,) fractions in MC, by weight.
        target: (C,) estimated fractions in the target, with standard errors ``error``.
        explains: whether MC, reweighted to these fractions, is not distinguished from the target.
        auc: with which a classifier distinguishes the two.
        p_value: of the tests on all features together, on single ones and on the score, see
            :func:`~hepdann.stats.two_sample.combined`. The last sees what a new class does to the
            score, and other fractions do not.
    """

    classes: tuple[str, ...]
    mc: tuple[float, ...]
    target: tuple[float, ...]
    error: tuple[float, ...]
    explains: bool
    auc: float
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether a fraction differs by three standard errors."""
        pairs = zip(self.target, self.mc, self.error, strict=True)
        return any(abs(t - m) > 3.0 * e for t, m, e in pairs)

    @property
    def alone(self) -> bool:
        """Whether other class fractions are all that separates MC from the target."""
        return self.explains and self.significant


def label_shift(
    classifier: QuickClassifier,
    mc: Source,
    target: Target,
    names: Sequence[str],
    *,
    seed: int = 0,
    most: int = 10_000,
) -> LabelShift:
    """Estimate the target's class fractions from the mean score.

    Source: Lipton, Wang and Smola, ICML 2018 (black-box shift estimation), with class probabilities
    in place of decisions: the target's mean score is Σ π_c times the mean score of class c in MC.
    Exact where p(x|class) is the same on both sides, and misleading where it is not: therefore MC
    is reweighted to the estimate and compared with the target again. The classifier was trained on
    the training split of the MC; its mean scores are those of the rest.

    Raises:
        HepdannError: too few events for the test.
    """
    held_out = mc.take(mc.split != 0)
    label, classes = held_out.label, len(mc.classes)
    scores = [classifier.score(s.features) for s in (held_out, target)]
    weights = [np.asarray(s.weight, dtype=np.float64) for s in (held_out, target)]
    fractions = _fractions(scores, weights, label, classes)
    generator = np.random.default_rng([seed, 4])
    replicas = [
        _fractions(scores, [w * generator.poisson(1.0, len(w)) for w in weights], label, classes)
        for _ in range(_REPLICAS)
    ]
    sums = class_sums(mc.label, mc.weight, classes)
    present = sums / sums.sum()
    corrected = replace(mc, weight=reweighted(mc.weight, mc.label, present, fractions))
    test = two_sample(corrected, target, seed=seed, max_events=most)
    single = smallest_p_value(rank_features(corrected, target, names, seed=seed))
    sums = class_sums(label, held_out.weight, classes)
    moved = reweighted(held_out.weight, label, sums / sums.sum(), fractions)
    score = [
        kolmogorov(scores[0][:, c], scores[1][:, c], moved, weights[1])[1]
        for c in range(1, classes)  # two classes have one score
    ]
    p_value = combined([test.p_value, single, combined(score)])
    return LabelShift(
        mc.classes,
        tuple(present.tolist()),
        tuple(fractions.tolist()),
        tuple(np.std(replicas, axis=0, ddof=1).tolist()),
        p_value >= SIGNIFICANT,
        test.auc,
        p_value,
    )


def _fractions(
    scores: list[Floats], weights: list[Floats], label: NDArray[np.integer], classes: int
) -> Floats:
    """Non-negative π, summing to one, with Σ π_c E[score | c] nearest to E[score] of the target."""
    from scipy.optimize import nnls

    means = np.zeros((classes, classes))
    for c in range(classes):
        rows = label == c
        total = weights[0][rows].sum()
        if total > 0:
            means[:, c] = weights[0][rows] @ scores[0][rows] / total
    wanted = weights[1] @ scores[1] / weights[1].sum()
    # rows of scores sum to one, so that this row holds the sum of π at one
    fractions, _ = nnls(np.vstack([means, np.ones(classes) * 1e3]), np.append(wanted, 1e3))
    total = fractions.sum()
    return np.asarray(fractions / total if total > 0 else np.full(classes, 1 / classes))
