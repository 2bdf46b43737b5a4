"""After a training on images: which method to use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..criteria import Adapted, Recommendation, Residual, recommend_adapted
from ..errors import HepdannError
from ..evaluation import accuracy, separation
from ..tensors import SPLITS, Target
from ..training import write_whole
from .domains import Domains
from .model import Model

__all__ = ["advise_on_images"]

_MOST = 5_000  # events of each domain that are looked at


def advise_on_images(
    model: Model, domains: Domains, shift: bool | None, path: Path
) -> Recommendation:
    """What is recommended; no target label is read.

    Args:
        model: as it was trained.
        domains: source and target; their validation splits are looked at.
        shift: whether the two-sample test found a shift.
        path: of ``recommendation.json``, which is written.
    """
    at = [_validation(events) for events in (domains.source, domains.target)]
    source, target = domains.source.take(at[0]), domains.target.take(at[1])
    assert domains.images is not None
    source_images, target_images = (
        domains.images.source.take(at[0]),
        domains.images.target.take(at[1]),
    )
    candidates = {}
    for name in model.parts:
        if name == "oracle":
            continue
        figure = accuracy(
            model.score(source_images, name, "source").mean, source.label, source.weight
        )
        layers = (
            model.latent(source_images, name, "source"),
            model.latent(target_images, name, "target"),
        )
        try:
            apart = separation(
                source.with_features(layers[0]), target.with_features(layers[1]), coarsen=False
            )
        except HepdannError:  # too few events
            continue
        left = Residual(apart.value, apart.error)
        candidates[name] = Adapted(figure.value, figure.error, left)
    advice = recommend_adapted(candidates, shift=shift)
    if advice.method is None and "source-only" in model.parts:
        advice = Recommendation("source-only", "too few events to compare candidates")
    write_whole(path, json.dumps(advice.to_dict(), indent=1).encode())
    return advice


def _validation(events: Target) -> NDArray[np.intp]:
    return np.flatnonzero(events.split == SPLITS.index("validation"))[:_MOST]
