"""What is left of a shift after each map of a model, told without a label of the target."""

from __future__ import annotations

from ..criteria import Residual
from ..errors import HepdannError
from ..evaluation import separation
from .aligned import reference
from .domains import Domains
from .model import BASE, Model

__all__ = ["residuals_of"]


def residuals_of(model: Model, domains: Domains) -> dict[str, Residual]:
    """Residual of source-only and of each map, the simplest first; empty with too few events.

    Args:
        model: with the networks of source-only and the alignments.
        domains: source and target, whose validation splits are looked at.
    """
    source, target = domains.source.part("validation"), domains.target.part("validation")
    found = {}
    for name in model.methods:
        if name != BASE and name not in model.alignments:
            continue
        mapped, like = target, source
        if name in model.alignments:
            mapped = target.with_features(model.align(target.features, name))
            like = reference(source, model.correction)
        try:
            figure = separation(like, mapped)
        except HepdannError:
            return {}
        found[name] = Residual(figure.value, figure.error)
    return found
