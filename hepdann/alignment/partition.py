"""Halves of two samples, each judged by the classifier of the other half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Partition"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Partition:
    """Halves of both samples, and classifiers that were trained on the other half of the source."""

    halves: tuple[NDArray[np.intp], ...]
    trees: Sequence[Any]
    classes: int

    def probabilities(self, bins: Floats, side: int) -> Floats:
        """(N, C) of source (0) or target (1) events, by the classifier of the other half."""
        out = np.zeros((len(bins), self.classes))
        for half, trees in enumerate(self.trees):
            rows = self.halves[side] == half
            out[np.ix_(rows, trees.classes_)] = trees.predict_proba(bins[rows])
        return out
