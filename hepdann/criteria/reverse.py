"""Reverse validation: what the target's pseudo-labels teach must hold on the source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..stats.classification import as_scores
from ..stats.figure import Floats, as_weight, mean_of
from ..stats.reweighting import standardiser

_HIDDEN = 256
_RIDGE = 1e-3
_MOST = 20_000


def reverse_validation(
    scores: Sequence[ArrayLike],
    target: ArrayLike,
    source: ArrayLike,
    label: ArrayLike,
    *,
    target_weight: ArrayLike | None = None,
    source_weight: ArrayLike | None = None,
    seed: int = 0,
) -> list[float | None]:
    """Train on the target with each candidate's classes, test on the source; larger is better.

    Source: Zhong et al., ECML 2010; used for a DANN's settings by Ganin et al., JMLR 17 (2016) 59,
    section 5.1.2. On a raw target the reverse classifier suffers the shift itself; on an aligned
    one it does not, and what is left is how good the pseudo-labels are.

    The reverse classifier is a ridge regression on the classes over ReLU features with random
    weights, so that all candidates are one solution of one set of equations.

    Args:
        scores: (N, C) or (N,) of each candidate, on the target.
        target: (N, F) features, raw or aligned; NaN marks a missing value.
        source: (M, F) features.
        label: (M,) class of the source's events.
        target_weight: (N,) event weights; one of negative weight counts against its class.
        source_weight: (M,) event weights.
        seed: of the random features.

    Returns:
        Accuracy on the source of each candidate; ``None`` where there are no events.
    """
    x, y = np.asarray(target), np.asarray(source)
    if not len(x) or not len(y):
        return [None] * len(scores)
    rows = slice(None, None, max(1, -(-len(x) // _MOST)))
    w = as_weight(target_weight, len(x))[rows]
    scale = standardiser(y, source_weight)
    generator = np.random.default_rng(seed)
    direction = generator.standard_normal((y.shape[1], _HIDDEN)) / np.sqrt(y.shape[1])
    offset = generator.uniform(-2.0, 2.0, _HIDDEN)

    def hidden(features: ArrayLike) -> Floats:
        z = scale(features)
        grown = np.maximum(z @ direction + offset, 0.0)
        return np.hstack([np.ones((len(z), 1)), z, grown])

    given = [as_scores(score)[rows].argmax(axis=1) for score in scores]
    classes = max(as_scores(scores[0]).shape[1], int(np.max(label)) + 1) if scores else 0
    wanted = np.concatenate([np.eye(classes)[classes_of] for classes_of in given], axis=1)
    h = hidden(x[rows])
    gram = h.T @ (h * np.abs(w)[:, None])
    gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram)
    solved = np.linalg.solve(gram, h.T @ ((wanted - 1.0 / classes) * w[:, None]))
    found = (hidden(y) @ solved).reshape(len(y), len(scores), classes).argmax(axis=2)
    right = (found == np.asarray(label)[:, None]).astype(np.float64)
    return [mean_of(right[:, k], source_weight) for k in range(len(scores))]
