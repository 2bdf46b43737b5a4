"""The averaged weights of each member's best epoch, chosen without target labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .step.parameter_buffer import ParameterBuffer


class Best:
    """The averaged weights that each member had at its best epoch so far.

    Kept beside the last ones in every checkpoint. Source validation loss says which epoch
    classifies the source best; it says little of the target, so the last epoch is what a run uses
    unless the user chooses.

    Attributes:
        loss: what was monitored of each member at its best epoch; infinite before the first.
    """

    def __init__(self, parts: Mapping[str, ParameterBuffer], members: int) -> None:
        self.loss = [math.inf] * members
        self.epoch = [-1] * members
        self.average: dict[str, Tensor] = {
            name: part.average.clone() for name, part in parts.items()
        }

    @torch.no_grad()
    def update(
        self, parts: Mapping[str, ParameterBuffer], epoch: int, losses: Sequence[float]
    ) -> None:
        """Keep the weights of every member whose loss has fallen below its best.

        Args:
            losses: (K,) monitored figures, less is better; one that is not a number is never the
                best.
        """
        better = [k for k, loss in enumerate(losses) if loss < self.loss[k]]
        if not better:
            return
        for name, part in parts.items():
            pairs = zip(
                part.by_member(self.average[name]), part.by_member(part.average), strict=True
            )
            for best, now in pairs:
                best[better] = now[better]
        for k in better:
            self.loss[k], self.epoch[k] = losses[k], epoch

    def of(self, name: str, part: ParameterBuffer) -> Tensor:
        """A part's averaged weights of each member's best epoch; of the last, if none was best."""
        chosen = part.average.clone()
        improved = [k for k, epoch in enumerate(self.epoch) if epoch >= 0]
        for now, best in zip(
            part.by_member(chosen), part.by_member(self.average[name]), strict=True
        ):
            now[improved] = best[improved]
        return chosen
