"""The feature extractor of K multilayer perceptrons."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .layers import StackedLayerNorm, hidden
from .normalisation import StackedBatchNorm
from .stacked import StackedLinear

if TYPE_CHECKING:
    from .adversarial import NetworkShape

__all__ = ["Extractor"]


class Extractor(nn.Module):
    """Linear, normalisation (if any) and activation, layer by layer.

    Args:
        shape: of the network.
        generators: one a member, for its initial weights.
        act: makes the activation of the next layer.
    """

    def __init__(
        self,
        shape: NetworkShape,
        generators: Sequence[torch.Generator],
        act: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        widths = (shape.inputs, *shape.extractor)
        centred = shape.normalisation in ("domain", "shared")  # takes a bias away again
        self.residual = shape.residual
        self.linear = nn.ModuleList(
            StackedLinear(a, b, generators, bias=not centred) for a, b in itertools.pairwise(widths)
        )
        self.norm = nn.ModuleList(
            _normalisation(shape, len(generators), width)
            for width in (widths[1:] if shape.normalisation != "none" else ())
        )
        self.activation = nn.ModuleList(act() for _ in shape.extractor)

    def _run(self, x: Tensor, normalise: Callable[[StackedBatchNorm, Tensor], Tensor]) -> Tensor:
        for index, (linear, act) in enumerate(zip(self.linear, self.activation, strict=True)):
            norm: Callable[[Tensor], Tensor] | None = self.norm[index] if self.norm else None
            if isinstance(norm, StackedBatchNorm):
                norm = partial(normalise, norm)
            x = hidden(x, linear, act, residual=self.residual, normalise=norm)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Feature layer (K, H, D · B) of a training batch (K, F, D · B)."""
        return self._run(x, lambda norm, y: norm(y))

    def collect(self, domains: Sequence[Tensor]) -> None:
        """Fix the statistics of prediction from events (K, F, n) of each domain."""
        sizes = [x.shape[-1] for x in domains]
        self._run(torch.cat(list(domains), dim=-1), lambda norm, y: norm.collect(y, sizes))

    def latent(self, x: Tensor, domain: int | Tensor) -> Tensor:
        """Feature layer by the statistics of a domain, 0 source or 1 target, or (K,) of these."""
        return self._run(x, lambda norm, y: norm.apply_domain(y, domain))


def _normalisation(shape: NetworkShape, members: int, width: int) -> nn.Module:
    if shape.normalisation == "layer":
        return StackedLayerNorm(members, width)
    per_domain = shape.normalisation == "domain"
    return StackedBatchNorm(members, width, per_domain=per_domain, domains=shape.domains)
