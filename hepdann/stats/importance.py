"""How much each input matters: the loss of AUC when it is shuffled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .ranking import auc
from .two_sample import Events, domain_classifier

_REPEATS = 5  # times that a feature is shuffled


@dataclass(frozen=True)
class Importance:
    """Mean loss of AUC when a feature is shuffled among the events, and its standard deviation."""

    name: str
    loss: float
    error: float


def permutation_importance(
    predict: Callable[[NDArray[Any]], NDArray[np.floating]],
    features: NDArray[Any],
    positive: ArrayLike,
    names: Sequence[str],
    weight: ArrayLike | None = None,
) -> list[Importance]:
    """Permutation importance (Breiman, Machine Learning 45 (2001) 5) of features, largest first.

    For the label head, ``positive`` is the signal of labelled MC. For the domain head it is the
    domain: its most important features are those that carry the mismodelling. ``predict`` gives the
    (N,) scores of (N, F) features.
    """
    label = np.asarray(positive).astype(np.intp)
    base = auc(predict(features), label, weight).value
    generator = np.random.default_rng(0)
    importances = []
    for index, name in enumerate(names):
        shuffled = features.copy()
        losses = []
        for _ in range(_REPEATS):
            shuffled[:, index] = features[generator.permutation(len(features)), index]
            losses.append(base - auc(predict(shuffled), label, weight).value)
        importances.append(Importance(name, float(np.mean(losses)), float(np.std(losses, ddof=1))))
    return sorted(importances, key=lambda one: -one.loss)


def domain_importance(mc: Events, target: Events, names: Sequence[str]) -> list[Importance]:
    """Which inputs carry the mismodelling: importance for distinguishing MC from the target.

    The classifier is that of :func:`.two_sample`, judged on events that it was not
    trained on. No label is used.

    Raises:
        HepdannError: too few events for a test.
    """
    predict, features, is_target, weight = domain_classifier(mc, target)
    return permutation_importance(predict, features, is_target, names, weight)
