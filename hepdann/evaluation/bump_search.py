"""The search for a bump in data, behind cuts on a score that saw no label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..registry import suggestion
from ..stats.histograms import Bump, find_bump
from ..store.scores_reader import open_scores
from .run_columns import RunColumns


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
    its own, else those of the test split. The thresholds are set on the sidebands alone. The
    networks must not know the ``variable``, a column of the target or an expression; the window
    reaches from the lower end of the sidebands to the upper.

    Raises:
        ConfigError: no such method in the run, or column.
        HepdannError: the region is not within the window.
    """
    scores = open_scores(Path(run))
    if method not in scores.methods:
        mend = suggestion(method, scores.methods, "methods are")
        raise ConfigError(f"no method {method!r} in this run", where=run, mend=mend)
    values = RunColumns(scores).values("target", variable)
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
