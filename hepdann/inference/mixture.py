"""A prediction made of others: the mean of their logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TINY = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Mixture:
    """The weighted mean of the log probabilities of several methods.

    Attributes:
        offsets: for each of them (C,) what is added to its log probabilities on the target, so
            that all of them accept the same share of it. On the source nothing is added.
        weights: of the parts; empty if they count alike.
    """

    parts: tuple[str, ...]
    offsets: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...] = ()

    def combine(
        self, scores: Sequence[NDArray[np.floating]], *, target: bool
    ) -> NDArray[np.float32]:
        """Combine the parts' class probabilities.

        Args:
            scores: (K, N, C) of the members of each part. Members are combined one by one where
                all parts have equally many, and otherwise as the means over them.

        Returns:
            (K, N, C), or (1, N, C), class probabilities.
        """
        if len({len(s) for s in scores}) > 1:
            scores = [s.mean(axis=0, keepdims=True) for s in scores]
        total = np.zeros(scores[0].shape, dtype=np.float64)
        weights = self.weights or (1.0,) * len(self.parts)
        for score, offset, weight in zip(scores, self.offsets, weights, strict=True):
            moved = np.log(np.clip(score, _TINY, 1.0)) + (np.asarray(offset) if target else 0.0)
            total += weight * moved
        total /= sum(weights)
        p = np.exp(total - total.max(axis=-1, keepdims=True))
        return np.asarray(p / p.sum(axis=-1, keepdims=True), dtype=np.float32)


def corrected(
    scores: NDArray[np.floating], correction: Sequence[float] | None
) -> NDArray[np.float32]:
    """Class probabilities (…, C) brought to other class fractions."""
    if correction is None:
        return np.asarray(scores, dtype=np.float32)
    moved = np.asarray(scores, np.float64) * np.exp(correction)
    return np.asarray(moved / moved.sum(axis=-1, keepdims=True), dtype=np.float32)
