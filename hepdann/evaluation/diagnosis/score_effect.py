"""How the score of a classifier trained on MC moves between MC and target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...stats.distances import kolmogorov
from ...stats.figure import weighted_mean
from ...stats.trees import bin_edges, binned_or_missing, boosted_trees, one_thread
from ...tensors import Source, Target

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

    Args:
        mc: the training split of the MC.
        seed: of the trees.
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
        self._trees = boosted_trees(seed, iterations=60, learning_rate=0.12, leaves=16)
        with one_thread():
            self._trees.fit(binned_or_missing(x, self._edges), y, np.abs(w))

    def score(self, features: NDArray[np.floating]) -> Floats:
        """(N, C) class probabilities."""
        with one_thread():
            rows = binned_or_missing(features, self._edges)
            probabilities = self._trees.predict_proba(rows)
        out = np.zeros((len(features), self.classes))
        out[:, self._trees.classes_] = probabilities
        return out


def score_effect(classifier: QuickClassifier, mc: Target, target: Target) -> ScoreEffect:
    """Compare the score on MC that was not trained on with that on the target.

    Args:
        classifier: trained on other MC events.
        mc: MC events.
        target: target events; no label of either is used.
    """
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
