"""After a training: what each candidate leaves of the shift, and which prediction to use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..alignment import get
from ..config import TrainConfig
from ..criteria import GUARD, Recommendation, Residual, agreement, is_closed, recommend, teacher
from ..errors import HepdannError
from ..evaluation import Diagnosis, diagnose, prior_matched_threshold, separation
from ..tensors import SPLITS, Target
from ..training import write_whole
from .domains import Domains
from .mixture import Mixture
from .model import SOURCE_ONLY, Model

__all__ = ["advised", "diagnose_first"]

Residuals = dict[str, Residual]

_MOST = 20_000  # target events on which the methods are compared


def diagnose_first(domains: Domains, features: Sequence[str], path: Path) -> Diagnosis | None:
    """Ask, before anything is trained, whether there is a shift at all.

    Args:
        domains: source and target.
        features: their names.
        path: of ``diagnosis.json``, which is written.

    Returns:
        The diagnosis; ``None`` with too few events for one.
    """
    try:
        found = diagnose(domains.source, domains.target, features)
    except HepdannError:
        return None
    write_whole(path, json.dumps(found.to_json(), indent=1, allow_nan=False).encode())
    return found


def advised(
    model: Model, domains: Domains, shift: bool | None, train: TrainConfig, path: Path
) -> tuple[Model, Recommendation]:
    """The model with what is recommended for it; no target label is read.

    Where the quantile map leaves a part of a shift, the further maps of ``train.alignments`` are
    fitted; one that leaves much less joins the model.

    Args:
        model: as it was trained.
        domains: source and target; the source's validation split and the target outside its test
            split are looked at.
        shift: whether the two-sample test found a shift.
        train: settings of the training.
        path: of ``recommendation.json``, which is written.

    Returns:
        The model and the recommendation.
    """
    residuals = _residuals(model, domains)
    best = teacher(residuals)
    if best is not None and shift is not False and not is_closed(residuals[best]):
        model, residuals = _further(model, domains, residuals, train)
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


def _further(
    model: Model, domains: Domains, residuals: Residuals, train: TrainConfig
) -> tuple[Model, Residuals]:
    """Try further maps; the model keeps the one that becomes the teacher, if one does."""
    source, target = domains.source.part("train"), domains.target.part("train")
    judged = domains.source.part("validation"), domains.target.part("validation")
    fitted = {}
    tried = dict(residuals)
    for name in train.alignments:
        if name in model.aligned:
            continue
        fitted[name] = get(name).fit(target, source, seed=train.seed)
        mapped = judged[1].with_features(fitted[name].apply(judged[1].features))
        figure = separation(judged[0], mapped)
        tried[name] = Residual(figure.value, figure.error)
    best = teacher(tried)
    if best in fitted:
        model = replace(model, alignments={**model.alignments, best: fitted[best]})
    return model, tried


def _outside_test(target: Target) -> NDArray[np.intp]:
    return np.flatnonzero(target.split != SPLITS.index("test"))[:_MOST]


def _residuals(model: Model, domains: Domains) -> Residuals:
    """Residual of source-only and of each map, the simplest first; empty with too few events."""
    source, target = domains.source.part("validation"), domains.target.part("validation")
    found = {}
    for name in model.methods:
        if name != SOURCE_ONLY and name not in model.aligned:
            continue
        mapped = target
        if name in model.aligned:
            mapped = target.with_features(model.align(target.features, name))
        try:
            figure = separation(source, mapped)
        except HepdannError:
            return {}
        found[name] = Residual(figure.value, figure.error)
    return found


def _agreements(model: Model, events: Target, best: str) -> dict[str, float | None]:
    """Agreement of each adapted network with the teacher."""
    adapted = [n for n in model.parts if n not in (SOURCE_ONLY, "oracle") and model.adapts(n)]
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
