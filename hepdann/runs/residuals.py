"""What is left of a shift after each map of a model, measured without a label of the target."""

from __future__ import annotations

import numpy as np

from ..criteria import Residual
from ..errors import HepdannError
from ..evaluation import separation
from ..tensors import SPLITS
from .aligned import reference
from .domains import Domains
from .model import BASE, PRIOR, Model

__all__ = ["residuals_of"]


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
