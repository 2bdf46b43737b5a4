"""The target with the soft labels of an aligned teacher, for self-training."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ..criteria import Residual, teacher
from ..domains import Domains
from ..errors import HepdannError
from ..inference import BASE, PRIOR, Model
from ..stats import separation
from ..tensors import SPLITS, Source, Target
from .aligned import Aligned, reference
from .calibrated import Calibrated


def label_by_teacher(model: Model, domains: Domains, aligned: Aligned) -> tuple[Source, str]:
    """The target with the teacher's labels; no label of its own is read.

    Args:
        model: with the networks of source-only and the alignments.
        domains: source and target.
        aligned: the alignments.

    Returns:
        What :func:`soft_labelled` gives, and the teacher's name.
    """
    name = teacher(residuals_of(domains, aligned)) or BASE
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


def residuals_of(
    domains: Domains, aligned: Aligned, calibrated: Mapping[str, Calibrated] = MappingProxyType({})
) -> dict[str, Residual]:
    """Residual of source-only and of each map, the simplest first; empty with too few events.

    All events outside the test splits are compared, those too that a map was fitted on: a map of
    single features leaves a little less on them, by about the error of the figure or less, and
    with five times the events of the validation split that error is less than half.

    Args:
        domains: source and target.
        aligned: the alignments.
        calibrated: maps of the source, each compared with the target as it is.
    """
    test = SPLITS.index("test")
    source = domains.source.take(np.flatnonzero(domains.source.split != test))
    target = domains.target.take(np.flatnonzero(domains.target.split != test))
    residuals: dict[str, Residual] = {}
    corrected_too = () if aligned.correction is None else (PRIOR,)
    for name in (BASE, *corrected_too, *aligned.maps, *calibrated):
        if name in aligned.residuals:
            residuals[name] = aligned.residuals[name]
            continue
        mapped = target
        if name in aligned.maps:
            mapped = target.with_features(aligned.maps[name].apply(target.features))
        compared = source if name == BASE else reference(source, aligned.correction)
        if name in calibrated:
            compared = calibrated[name].calibration.calibrated(source)
        try:
            figure = separation(compared, mapped)
        except HepdannError:
            return {}
        residuals[name] = Residual(figure.value, figure.error)
    return residuals
