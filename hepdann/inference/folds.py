"""Events of a run in folds: each is scored by the fold that did not see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..tensors import Objects, fold_of
from .steps import Inputs, Scores

if TYPE_CHECKING:
    from .model import Model

NO_FOLD = 255  # of an event that no fold was trained on: all folds score it


def folds_of(
    model: Model, event_id: NDArray[np.uint64], known: NDArray[np.uint64]
) -> NDArray[np.uint8]:
    """The fold that did not see each event; :data:`NO_FOLD` of one that none was trained on."""
    fold = fold_of(event_id, len(model.folds), model.salt)
    place = np.minimum(np.searchsorted(known, event_id), len(known) - 1)
    fold[known[place] != event_id] = NO_FOLD
    return fold


def score_by_fold(
    model: Model, inputs: Inputs, method: str, domain: str, fold: NDArray[np.uint8], **options: Any
) -> Scores:
    """Score events, each by its fold (N,); the options are those of :meth:`Model.score`."""
    parts = []
    for number in np.unique(fold).tolist():
        one, rows = model if number == NO_FOLD else model.folds[number], fold == number
        part = inputs[rows] if isinstance(inputs, np.ndarray) else inputs.take(rows)
        parts.append((rows, one.score(part, method, domain, **options)))
    first = parts[0][1]
    members = np.empty((len(first.members), len(fold), first.members.shape[2]), np.float32)
    domain_score = np.empty(len(fold) if len(first.domain) else 0, np.float32)
    for rows, scores in parts:
        members[:, rows] = scores.members
        if len(domain_score):
            domain_score[rows] = scores.domain
    return Scores(members, domain_score)


def object_scores(
    model: Model,
    inputs: Objects,
    method: str,
    domain: str = "target",
    fold: NDArray[np.uint8] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Class probabilities (objects, C) by collection, of those whose objects have classes.

    Of a run in folds each event is scored by its fold (N,), by default by all.
    """
    classes = model.object_classes
    if not model.folds or fold is None or not len(fold):
        return dict(zip(classes, model.steps(method, domain).object_scores(inputs), strict=True))
    counts = {name: p.counts for (name, *_), p in zip(model.objects, inputs.parts, strict=True)}
    out = {name: np.full((counts[name].sum(), n), np.nan, "f4") for name, n in classes.items()}
    for number in np.unique(fold).tolist():
        one, rows = model if number == NO_FOLD else model.folds[number], fold == number
        for name, values in object_scores(one, inputs.take(rows), method, domain).items():
            out[name][np.repeat(rows, counts[name])] = values
    return out
