"""Do scores distinguish the mixtures of the target, and in the right order?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...config import load_config
from ...errors import HepdannError
from ...stats import auc, weighted_mean
from ...store.paths import RunPaths
from ...store.scores.reader import RunScores
from ..columns import Columns


def mixture_figures(scores: RunScores, methods: Sequence[str]) -> dict[str, Any]:
    """Cuts and fractions of the mixtures of a run, and by method what its scores make of them.

    No label takes part. Of each method there are ``means``, the mean score of each mixture,
    ``auc``, between the first two, and ``flipped``: whether the scores fall where they should
    rise, with the known fractions, or without these from the second mixture to the first; of the
    single networks it is their number.

    Args:
        scores: of the run.
        methods: whose scores.

    Returns:
        Empty without mixtures, or where the tensor file that holds their columns is gone.
    """
    path = RunPaths(scores.path.parent).config
    if not path.exists():
        return {}
    mixtures = load_config(path, expand=False, known_names=False).train.mixtures or []
    try:
        columns = Columns(scores)
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
    figures = {}
    for method in methods:
        score = np.asarray(scores.score("target", method)[:, -1], dtype=np.float64)
        members = scores.members("target", method)
        figures[method] = {
            "means": (means := _means(score, weight, number, len(mixtures))),
            "auc": _auc(score, weight, number),
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
    means = []
    for k in range(count):
        value = weighted_mean(score[number == k], weight[number == k]).value
        means.append(float(value) if np.isfinite(value) else None)
    return means


def _auc(score: Any, weight: Any, number: Any) -> float | None:
    rows = (number == 0) | (number == 1)
    value = auc(score[rows], number[rows] == 0, weight[rows]).value
    return float(value) if np.isfinite(value) else None


def _falls(means: Sequence[float | None], rising: Sequence[float]) -> bool:
    """Whether the means fall with what they should rise with."""
    pairs = [(m, r) for m, r in zip(means, rising, strict=True) if m is not None]
    values = np.array(pairs)
    if len(values) < 2:
        return False
    centred = values - values.mean(axis=0)
    return bool((centred[:, 0] * centred[:, 1]).sum() < 0)
