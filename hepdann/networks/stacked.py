"""Linear layers of K networks side by side.

A stack is feature-major: weights (K, out, in), activations (K, features, batch), so that one
batched matrix product serves every member. This layout does not leave the networks: callers see
(N, F) events and (K, N, C) scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["StackedLinear", "member_generators"]


def member_generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One generator a member, so that its weights do not depend on its neighbours."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


class StackedLinear(nn.Module):
    """``y = W x + b`` for each of K members.

    The weights start as those of ``torch.nn.Linear``: uniform in ±1/√in.

    Args:
        inputs: features in.
        outputs: features out.
        generators: one a member; each draws its weight, then its bias.
        bias: left out before a normalisation, which would take it away again.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        generators: Sequence[torch.Generator],
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        weights, biases = [], []
        for generator in generators:
            weights.append(torch.rand(outputs, inputs, generator=generator) * 2 * bound - bound)
            if bias:
                biases.append(torch.rand(outputs, 1, generator=generator) * 2 * bound - bound)
        self.weight = nn.Parameter(torch.stack(weights))
        self.bias = nn.Parameter(torch.stack(biases)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (K, in, batch) to (K, out, batch)."""
        if self.bias is None:
            return torch.bmm(self.weight, x)
        return torch.baddbmm(self.bias, self.weight, x)
