"""Mixed samples within the target: do scores distinguish them; the search for a bump."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import load_config
from ..errors import ConfigError, HepdannError
from ..outputs import jsonable
from ..registry import suggestion
from ..stats import auc, weighted_mean
from ..stats.histograms import Bump, find_bump
from ..store.paths import RunPaths
from ..store.scores.reader import RunScores, open_scores
from .columns import Columns


def mixture_figures(scores: RunScores, methods: Sequence[str]) -> dict[str, Any]:
    """Cuts and fractions of the mixtures of a run, and by method what its scores make of them.

    No label takes part. Of each method there are ``means``, the mean score of each mixture,
    ``auc``, between the first two, and ``flipped``: whether the scores fall where they should rise,
    with the known fractions, or without these from the second mixture to the first; of the single
    networks it is their number. Empty without mixtures, or where the tensor file that holds their
    columns is gone.
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


@dataclass(frozen=True, eq=False)
class SearchPoint:
    """A cut on the score, and the spectrum behind it.

    ``efficiency`` is the share of the events in the sidebands that the cut was set to keep, and
    ``events`` that pass, within the window.
    """

    efficiency: float
    events: int
    bump: Bump


def search(
    run: str | Path,
    variable: str,
    region: tuple[float, float],
    window: tuple[float, float],
    *,
    method: str = "cwola",
    efficiencies: Sequence[float] = (1.0, 0.1, 0.01, 0.001),
    bins: int = 30,
    order: int = 2,
) -> list[SearchPoint]:
    """Cut on the score of the target's events, fit the sidebands, and count between them.

    Events are those that no network saw: all of a run in folds, where each fold has thresholds of
    its own, else those of the test split. The thresholds are set on the sidebands alone.

    Args:
        run: folder of the run.
        variable: column of the target, or an expression; the networks must not know it.
        region: the signal region.
        window: from the lower end of the sidebands to the upper.
        method: whose score.
        efficiencies: shares of the sidebands' events that the cuts keep.
        bins: of the spectrum outside the region.
        order: of the polynomial in the exponent that is fitted.

    Raises:
        ConfigError: no such method in the run, or column.
        HepdannError: the region is not within the window.
    """
    scores = open_scores(Path(run))
    if method not in scores.methods:
        mend = suggestion(method, scores.methods, "methods are")
        raise ConfigError(f"no method {method!r} in this run", where=run, mend=mend)
    values = Columns(scores).values("target", variable)
    score = np.asarray(scores.score("target", method)[:, -1], dtype=np.float64)
    usable = scores.rows("target", "test") & (values >= window[0]) & (values < window[1])
    fold = np.zeros(len(values), np.intp)
    if scores.folds:
        fold = np.asarray(scores.column("target", "fold")).astype(np.intp)
    sides = usable & ((values < region[0]) | (values >= region[1]))
    points = []
    for efficiency in efficiencies:
        passes = usable & passing(score, sides, fold, efficiency)
        bump = find_bump(values[passes], region, window, bins=bins, order=order)
        points.append(SearchPoint(efficiency, int(passes.sum()), bump))
    return points


def passing(
    score: NDArray[np.float64],
    sides: NDArray[np.bool_],
    fold: NDArray[np.intp],
    efficiency: float,
) -> NDArray[np.bool_]:
    """(N,) events above the threshold of their fold, which a share of its sidebands passes."""
    if efficiency >= 1:
        return np.ones(len(score), np.bool_)
    passes = np.zeros(len(score), np.bool_)
    for part in np.unique(fold):
        rows, known = fold == part, score[sides & (fold == part)]
        if len(known):
            passes[rows] = score[rows] > np.quantile(known, 1 - efficiency)
    return passes
