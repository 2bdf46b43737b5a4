"""The target with the soft labels of an aligned teacher, for self-training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..criteria import teacher
from ..tensors import Source, Target
from .domains import Domains
from .model import BASE, Model
from .residuals import residuals_of

__all__ = ["label_by_teacher", "soft_labelled"]


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
