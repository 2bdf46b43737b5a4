"""The target with the soft labels of an aligned teacher, for self-training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..criteria import Residual, teacher
from ..errors import HepdannError
from ..inference import BASE, PRIOR, Model
from ..stats import separation
from ..tensors import SPLITS, Source, Target
from .aligned import reference
from .domains import Domains

__all__ = ["label_by_teacher", "residuals_of", "soft_labelled"]


def label_by_teacher(model: Model, domains: Domains) -> tuple[Source, str]:
    """The target with the teacher's labels; no label of its own is read.

    Args:
        model: with the networks of source-only and the alignments.
        domains: source and target.

    Returns:
        What :func:`soft_labelled` gives, and the teacher's name.
    """
    name = teacher(residuals_of(model, domains)) or BASE
    score = model.score(domains.target.features, name).mean
    return soft_labelled(domains.target, score, model.classes), name


def soft_labelled(target: Target, score: NDArray[np.floating], classes: tuple[str, ...]) -> Source:
    """Every event once as each class, its weight times the probability of that class.

    The weighted cross entropy of these is that of the events with soft labels.

    Args:
        target: N events.
        score: (N, C) class probabilities.
        classes: the names of the C classes.

    Returns:
        N * C events.
    """
    n, c = score.shape
    rows = np.repeat(np.arange(n), c)
    return Source(
        features=target.features[rows],
        weight=(target.weight[rows] * score.reshape(-1)).astype(np.float32),
        event_id=target.event_id[rows],
        split=target.split[rows],
        label=np.tile(np.arange(c, dtype=np.int32), n),
        classes=classes,
    )


def residuals_of(model: Model, domains: Domains) -> dict[str, Residual]:
    """Residual of source-only and of each map, the simplest first; empty with too few events.

    All events outside the test splits are compared, those too that a map was fitted on: a map of
    single features leaves a little less on them, by about the error of the figure or less, and
    with five times the events of the validation split that error is less than half.

    Args:
        model: with the networks of source-only and the alignments.
        domains: source and target.
    """
    test = SPLITS.index("test")
    source = domains.source.take(np.flatnonzero(domains.source.split != test))
    target = domains.target.take(np.flatnonzero(domains.target.split != test))
    residuals = {}
    for name in model.methods:
        if name not in (BASE, PRIOR, *model.alignments):
            continue
        mapped = target
        if name in model.alignments:
            mapped = target.with_features(model.align(target.features, name))
        compared = source if name == BASE else reference(source, model.correction)
        try:
            figure = separation(compared, mapped)
        except HepdannError:
            return {}
        residuals[name] = Residual(figure.value, figure.error)
    return residuals
