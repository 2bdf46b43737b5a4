"""The learned map: an affine one, fitted against a critic of the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from ..tensors.source_and_target import Target
from .linear import LinearMap, conjugate
from .standard import both_sides, unit_weight


@dataclass(frozen=True)
class AdversaryOptions:
    """How the game is played.

    Attributes:
        steps: of the critic and of the map, in turn.
        batch_size: events of each side a step, drawn with replacement.
        learning_rate: of Adam(.5, .99); it falls as a cosine over the second half.
        ema: decay of the average of the map, which is the result.
        residual: hidden units of an additional non-linear part, 0 for none.
        noise: random numbers of an event that this part is given too.
        wasserstein: the critic of a WGAN, whose |∇D| is drawn to 1 with γ (arXiv:1704.00028).
        critic_steps: for each step of the map.
    """

    steps: int = 1200
    batch_size: int = 256
    learning_rate: float = 1e-3
    ema: float = 0.995
    residual: int = 0
    noise: int = 0
    wasserstein: bool = False
    critic_steps: int = 1


class AffineMap(LinearMap):
    """x ↦ A x + b, fitted by an adversary.

    The mean of the maps of several seeds, which end near each other where the two samples fix the
    map and cancel each other's noise.
    """

    name: ClassVar[str] = "affine"
    summary: ClassVar[str] = "affine map learned against a critic of the inputs"

    @classmethod
    def fit(
        cls,
        target: Target,
        source: Target,
        *,
        seed: int = 0,
        members: int = 3,
        options: AdversaryOptions | None = None,
    ) -> Self:
        """Play the games and average the maps; no label is read.

        Args:
            target: as in :meth:`.Kind.fit`; a missing value counts as the mean of its feature.
            source: likewise.
            seed: of the first member.
            members: games, side by side.
            options: of the games; by default those of DESIGN 6.3.
        """
        from .adversary import fit_stack

        of_target, of_source, active = both_sides(target, source)
        stack = fit_stack(
            of_target.unit(target.features)[:, active],
            of_source.unit(source.features)[:, active],
            [unit_weight(target.weight)] * members,
            [unit_weight(source.weight)] * members,
            range(seed, seed + members),
            options or AdversaryOptions(),
        )
        core, shift = np.eye(len(active)), np.zeros(len(active))
        maps = []
        for matrix, offset in zip(stack.matrix, stack.offset, strict=True):
            core[np.ix_(active, active)], shift[active] = matrix, offset
            maps.append(conjugate(core, shift, of_target, of_source))
        return cls(*(np.mean(parts, axis=0) for parts in zip(*maps, strict=True)))

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described, or that of an older version."""
        return super().from_dict(stored.get("linear", stored))
