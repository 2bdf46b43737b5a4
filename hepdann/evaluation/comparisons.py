"""Histograms of MC and target in single features, for the figures of a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..stats import binning, without_sentinels
from ..tensors import Source, Target
from .datamc import DataMC, data_mc

__all__ = ["compare_feature"]


def compare_feature(
    mc: Source, target: Target, index: int, class_names: Sequence[str] | None = None
) -> tuple[DataMC, bool]:
    """MC, class by class, and the target in one feature; MC is normalised to the target.

    Args:
        mc: the simulation.
        target: the data.
        index: of the feature.
        class_names: how the classes are called; by default as in ``mc``.

    Returns:
        The comparison, and whether the end bins hold events from outside.
    """
    (x, y), _ = without_sentinels(mc.features[:, index], target.features[:, index])
    edges = binning(x, y)
    with np.errstate(invalid="ignore"):
        outside = any(bool(np.any((v < edges[0]) | (v > edges[-1]))) for v in (x, y))
    x, y = (np.clip(v, edges[0], edges[-1]) for v in (x, y))
    names = tuple(class_names or mc.classes)
    numbers = data_mc(x, mc.weight, mc.label, names, y, target.weight, edges, normalise=True)
    return numbers, outside
