"""Labelled copies of the MC under other shifts, which hybrid methods train on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import methods, shifts
from ..config import ShiftConfig, TrainConfig
from ..errors import ConfigError
from ..methods import method_of
from ..tensors import Source

__all__ = ["auxiliary_shifts", "auxiliary_sources", "with_auxiliaries"]

_STREAM = 0xA0C5
_DEFAULT = ("sine-third", "sine-fifth", "sine")  # the first two that are not the target's own


def auxiliary_shifts(train: TrainConfig) -> list[ShiftConfig]:
    """The shifts of the copies that a training needs; none unless it has a hybrid method.

    Args:
        train: as the user gave it.

    Returns:
        Those that are named, or ``sine-third`` and ``sine-fifth`` at the target's t, of
        several the smallest.

    Raises:
        ConfigError: none is named and the target is data; or the target's own shift is among them.
    """
    hybrids = [name for name in train.methods if methods.get(method_of(name)[1]).auxiliary]
    if not hybrids:
        return []
    target_shift = train.shift
    if train.auxiliary_shifts is not None:
        named = train.auxiliary_shifts
        if target_shift is not None and _key(target_shift) in map(_key, named):
            raise ConfigError(
                f"{target_shift.name} is the shift of the target itself; copies of the MC under it "
                "would show the networks its answer",
                where="train.auxiliary_shifts",
                mend="name other shifts",
            )
        return named
    if target_shift is None:
        raise ConfigError(
            f"{hybrids[0]} trains on copies of the MC under other shifts; data do not say which",
            where="train.auxiliary_shifts",
            mend="name some, for example --auxiliary sine-third:3",
        )
    names = [name for name in _DEFAULT if name != target_shift.name][:2]
    t = target_shift.t if isinstance(target_shift.t, float) else min(target_shift.t)
    quantile = (
        target_shift.quantile
        if isinstance(target_shift.quantile, float)
        else max(target_shift.quantile)
    )
    return [ShiftConfig(name=name, t=t, quantile=quantile) for name in names]


def with_auxiliaries(train: TrainConfig) -> TrainConfig:
    """The settings with the shifts of the copies written out; see :func:`auxiliary_shifts`."""
    wanted = auxiliary_shifts(train)
    return train.model_copy(update={"auxiliary_shifts": wanted}) if wanted else train


def _key(shift: ShiftConfig) -> tuple[str, ...]:
    return tuple(sorted(part.strip() for part in shift.name.split("+")))


def auxiliary_sources(
    source: Source, wanted: Sequence[ShiftConfig], seed: int
) -> tuple[Source, ...]:
    """The source under each of the shifts; labels, weights and splits are its own.

    Args:
        source: labelled MC, all splits; the shifts take their scales from its training split.
        wanted: one shift a copy.
        seed: of the shifts' random parts, each of which has a stream of its own.
    """
    copies = []
    for number, entry in enumerate(wanted):
        shift = shifts.get(entry.name, entry.t, quantile=entry.quantile)
        generator = np.random.Generator(np.random.Philox([seed, _STREAM + number]))
        fitted = shift.fit(source.part("train").features)
        copies.append(source.with_features(fitted.apply(source.features, generator)))
    return tuple(copies)
