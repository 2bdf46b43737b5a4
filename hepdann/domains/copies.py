"""Labelled copies of the MC under other shifts, which hybrid methods train on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import shifts
from ..config import ShiftConfig
from ..tensors import Source

_STREAM = 0xA0C5


def auxiliary_sources(
    source: Source, wanted: Sequence[ShiftConfig], seed: int
) -> tuple[Source, ...]:
    """The source under each of the shifts; labels, weights and splits are its own.

    Args:
        source: labelled MC, all splits; the shifts take their scales from its training split.
    """
    copies = []
    for number, entry in enumerate(wanted):
        shift = shifts.get(entry.name, entry.t, quantile=entry.quantile)
        generator = np.random.Generator(np.random.Philox([seed, _STREAM + number]))
        fitted = shift.fit(source.part("train").features)
        copies.append(source.with_features(fitted.apply(source.features, generator)))
    return tuple(copies)
