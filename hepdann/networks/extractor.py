"""The feature extractor of K multilayer perceptrons."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .layers import StackedLayerNorm, hidden
from .normalisation import StackedBatchNorm
from .stacked import StackedLinear, in_cache

if TYPE_CHECKING:
    from .adversarial import NetworkShape


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
        self.residual, self.widest = shape.residual, max(widths)
        self.linear = nn.ModuleList(
            StackedLinear(a, b, generators, bias=not centred) for a, b in itertools.pairwise(widths)
        )
        self.norm = nn.ModuleList(
            _normalisation(shape, len(generators), width)
            for width in (widths[1:] if shape.normalisation != "none" else ())
        )
        self.activation = nn.ModuleList(act() for _ in shape.extractor)

    def _run(
        self,
        x: Tensor,
        normalise: Callable[[StackedBatchNorm, Tensor], Tensor],
        members: slice | None = None,
    ) -> Tensor:
        for index, (layer, act) in enumerate(zip(self.linear, self.activation, strict=True)):
            linear = partial(layer, members=members)
            norm: Callable[[Tensor], Tensor] | None = self.norm[index] if self.norm else None
            if isinstance(norm, StackedBatchNorm):
                norm = partial(normalise, norm)
            x = hidden(x, linear, act, residual=self.residual, normalise=norm)
        return x

    def forward(
        self, x: Tensor, domains: int | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Feature layer (K, H, D · B) of a training batch (K, F, D · B).

        Args:
            x: the batch.
            domains: how many of the D it holds; by default all.
            weight: (K, D, B) that batch normalisation weights events by; by default all are alike.
        """
        return self._run(x, lambda norm, y: norm(y, domains, weight))

    def collect(self, domains: Sequence[Tensor], weight: Tensor | None = None) -> None:
        """Fix the statistics of prediction from events (K, F, n) of each domain.

        Args:
            domains: the events.
            weight: (K, n of all domains) of these events; by default all are alike.
        """
        if not any(isinstance(norm, StackedBatchNorm) for norm in self.norm):
            return
        sizes = [x.shape[-1] for x in domains]
        some = in_cache(domains[0], self.widest * sum(sizes))
        for first in range(0, len(domains[0]), some):
            members = slice(first, first + some)
            x = torch.cat([events[members] for events in domains], dim=-1)
            of_these = None if weight is None else weight[members]
            collect = partial(_collect, sizes=sizes, members=members, weight=of_these)
            self._run(x, collect, members)

    def prediction(self, domain: int | Tensor) -> Callable[[Tensor], Tensor]:
        """What maps events to the feature layer by the statistics of a domain.

        Args:
            domain: 0 source or 1 target, or (K,) of these.
        """
        layers: list[Callable[[Tensor], Tensor]] = []
        for index, (layer, act) in enumerate(zip(self.linear, self.activation, strict=True)):
            assert isinstance(layer, StackedLinear)
            norm = self.norm[index] if self.norm else None
            linear: Callable[[Tensor], Tensor] = layer
            if isinstance(norm, StackedBatchNorm):  # fixed, it is a part of the linear map
                linear, norm = layer.scaled(*norm.factors(domain)), None
            layers.append(
                partial(hidden, linear=linear, act=act, residual=self.residual, normalise=norm)
            )
        return lambda x: functools.reduce(lambda y, layer: layer(y), layers, x)


def _collect(
    norm: StackedBatchNorm, y: Tensor, *, sizes: list[int], members: slice, weight: Tensor | None
) -> Tensor:
    return norm.collect(y, sizes, members, weight)


def _normalisation(shape: NetworkShape, members: int, width: int) -> nn.Module:
    if shape.normalisation == "layer":
        return StackedLayerNorm(members, width)
    per_domain = shape.normalisation == "domain"
    return StackedBatchNorm(members, width, per_domain=per_domain, domains=shape.domains)
