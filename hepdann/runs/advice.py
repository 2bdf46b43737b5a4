"""After a training: what each candidate leaves of the shift, and which prediction to use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import methods
from ..criteria import GUARD, Recommendation, agreement, recommend, teacher
from ..errors import HepdannError
from ..evaluation import Diagnosis, diagnose, prior_matched_threshold
from ..tensors import SPLITS, Target
from ..training import write_whole
from .aligned import method_of
from .domains import Domains
from .image_advice import advise_on_images
from .mixture import Mixture
from .model import BASE, Model
from .residuals import residuals_of

__all__ = ["advised", "diagnose_first"]

_MOST = 20_000  # target events on which the methods are compared


def diagnose_first(
    domains: Domains, features: Sequence[str] | None, path: Path
) -> Diagnosis | None:
    """Ask, before anything is trained, whether there is a shift at all.

    Args:
        domains: source and target.
        features: their names; ``None`` if nobody wants to know.
        path: of ``diagnosis.json``, which is written; empty if nobody wants to know.

    Returns:
        The diagnosis; ``None`` with too few events for one, or if nobody wants to know.
    """
    if features is None:
        write_whole(path, b"{}")
        return None
    try:
        # images have no alignment, and with many classes the estimate takes longer than a training
        aligned = domains.images is None
        found = diagnose(domains.source, domains.target, features, alignable=aligned)
    except HepdannError:
        return None
    write_whole(path, json.dumps(found.to_json(), indent=1, allow_nan=False).encode())
    return found


def advised(
    model: Model, domains: Domains, shift: bool | None, path: Path
) -> tuple[Model, Recommendation]:
    """The model with what is recommended for it; no target label is read.

    Args:
        model: as it was trained.
        domains: source and target; the source's validation split and the target outside its test
            split are looked at.
        shift: whether the two-sample test found a shift.
        path: of ``recommendation.json``, which is written.

    Returns:
        The model and the recommendation.
    """
    if domains.images is not None:
        return model, advise_on_images(model, domains, shift, path)
    residuals = residuals_of(model, domains)
    best = teacher(residuals)
    events = domains.target.take(_outside_test(domains.target))
    agreements = {} if best is None else _agreements(model, events, best)
    fallback = next(iter(model.methods), None)
    advice = recommend(residuals, agreements, shift=shift, fallback=fallback)
    if advice.method == GUARD:
        mixtures = {GUARD: _mixture(model, events, advice.parts)}
        model = replace(model, mixtures={**model.mixtures, **mixtures})
    write_whole(path, json.dumps(advice.to_dict(), indent=1).encode())
    return model, advice


def _outside_test(target: Target) -> NDArray[np.intp]:
    return np.flatnonzero(target.split != SPLITS.index("test"))[:_MOST]


def _agreements(model: Model, events: Target, best: str) -> dict[str, float | None]:
    """Agreement of each adapted network with the teacher; not of those that it taught."""
    adapted = [
        name
        for name in model.parts
        if name not in (BASE, "oracle")
        and model.adapts(name)
        and not methods.get(method_of(name)[1]).taught
    ]
    taught = model.score(events.features, best).mean
    return {
        name: agreement(model.score(events.features, name).mean, taught, events.weight)
        for name in adapted
    }


def _mixture(model: Model, events: Target, parts: tuple[str, ...]) -> Mixture:
    """Offsets with which every part accepts as large a share of the target as the first."""
    scores = [model.score(events.features, name).mean for name in parts]
    classes = len(model.classes)
    offsets = [(0.0,) * classes]
    weight = np.asarray(events.weight, dtype=np.float64)
    accepted = float(weight @ (scores[0][:, -1] > 0.5)) / float(weight.sum())
    for score in scores[1:]:
        moved = 0.0
        if classes == 2 and 0.0 < accepted < 1.0:
            at = np.clip(prior_matched_threshold(score, weight, accepted), 1e-6, 1 - 1e-6)
            moved = float(np.log((1.0 - at) / at))
        offsets.append((0.0,) * (classes - 1) + (moved,))
    return Mixture(parts, tuple(offsets))
