"""Linear layers of K networks side by side.

A stack is feature-major: weights (K, out, in), activations (K, features, batch), so that one
batched matrix product serves every member. This layout does not leave the networks: callers see
(N, F) events and (K, N, C) scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

_IN_CACHE = 1 << 18  # elements of an activation that a core keeps near itself (1 MiB)


def in_cache(x: Tensor, elements: int) -> int:
    """How many of something to work on at a time, each of which has so many activations.

    Large activations of a whole stack come from the memory and go there, layer by layer, which
    takes a processor several times as long as the arithmetic.

    Args:
        x: tells the device; only a processor wants parts.
        elements: of the widest layer, for one.
    """
    return max(1, _IN_CACHE // elements) if x.device.type == "cpu" else 1 << 40


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

    def forward(self, x: Tensor, members: slice | None = None) -> Tensor:
        """Map (K, in, batch) to (K, out, batch); ``members`` says whose events these are."""
        weight: Tensor = self.weight
        bias: Tensor | None = self.bias
        if members is not None:
            weight, bias = weight[members], None if bias is None else bias[members]
        return torch.bmm(weight, x) if bias is None else torch.baddbmm(bias, weight, x)

    def scaled(self, scale: Tensor, shift: Tensor) -> Callable[[Tensor], Tensor]:
        """The same without a bias, then scaled and shifted by (K, out, 1): one product."""
        weight = self.weight * scale
        return lambda x: torch.baddbmm(shift, weight, x)
