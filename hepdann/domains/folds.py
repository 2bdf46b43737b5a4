"""The events of a run as each fold sees them: one part is held out of everything that is fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..tensors import SPLITS, Objects, Source, Target, Tensors, fold_of
from .events import Domains, fit_domains


def in_folds(domains: Domains, folds: int) -> tuple[Domains, ...]:
    """The events of each fold, the same ones in the same order.

    The part that a fold does not see is its test split. The events of the validation split that
    are left are validated on, and all others trained on.

    Args:
        domains: of the whole run, events in memory.
        folds: number of parts.

    Raises:
        SchemaError: a split of a fold is empty.
        ConfigError: a class has no training event in a fold.
    """
    return tuple(_fold(domains, number, folds) for number in range(folds))


def _fold(domains: Domains, number: int, folds: int) -> Domains:
    salt = domains.tensors.split_config.seed
    sides = domains.source, domains.target
    source, target = (
        replace(events, split=_split(events, fold_of(events.event_id, folds, salt) == number))
        for events in sides
    )
    assert isinstance(source, Source)
    tensors = replace(domains.tensors, impute=_impute(domains.tensors, source.part("train")))
    fold = fit_domains(
        tensors, source, target, domains.shift, domains.holder, domains.rows, domains.process
    )
    nuisances = None if domains.nuisances is None else domains.nuisances.refitted(source)
    images = domains.images
    if images is not None and isinstance(images.source, Objects):
        train = source.split == SPLITS.index("train")
        events = images.source.take(train)
        images = replace(images, scaling=fold.scaling.with_objects(events, source.weight[train]))
    return replace(fold, nuisances=nuisances, mixtures=domains.mixtures, images=images)


def _split(events: Target, held_out: NDArray[np.bool_]) -> NDArray[np.uint8]:
    train, validation, test = range(len(SPLITS))
    split = np.where(events.split == validation, validation, train)
    return np.where(held_out, test, split).astype(np.uint8)


def _impute(tensors: Tensors, train: Source) -> NDArray[np.float64]:
    """(F,) stand-ins for missing values; those that are means over these training events alone."""
    values = tensors.impute.copy()
    for column, entry in enumerate(tensors.feature_info):
        x = train.features[:, column].astype(np.float64)
        known = np.isfinite(x)
        if entry.get("impute", "mean") == "mean" and known.any():
            values[column] = x[known].mean()
    return values
