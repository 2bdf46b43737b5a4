"""Batch normalisation that knows which domain an event comes from."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Normalisation", "StackedBatchNorm"]

Normalisation = Literal["domain", "shared", "layer", "none"]

_EPSILON = 1e-5


class StackedBatchNorm(nn.Module):
    """Batch normalisation of (K, features, batch) with statistics per domain or shared.

    In training the batch is source then target, equally many of each. With ``per_domain`` each
    half is normalised by its own mean and variance; scale and shift are shared, as in
    domain-specific batch normalisation with common affine parameters (Li et al., "Revisiting Batch
    Normalization for Practical Domain Adaptation", 2016).

    Statistics for prediction are not running averages: :meth:`collect` stores those of the pass it
    is given, so that they belong to the weights that are used, averaged ones included.

    Attributes:
        mean: (2, K, features) of source and target; equal rows when shared.
        variance: likewise.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, members: int, features: int, *, per_domain: bool) -> None:
        super().__init__()
        self.per_domain = per_domain
        self.weight = nn.Parameter(torch.ones(members, features, 1))
        self.bias = nn.Parameter(torch.zeros(members, features, 1))
        self.register_buffer("mean", torch.zeros(2, members, features))
        self.register_buffer("variance", torch.ones(2, members, features))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise a training batch, (K, features, source + target), by its own statistics."""
        members, features, batch = x.shape
        if not self.per_domain:
            flat = x.reshape(1, members * features, batch)
            scale, shift = self.weight.reshape(-1), self.bias.reshape(-1)
        else:
            flat = x.reshape(1, members * features * 2, batch // 2)
            scale = self.weight.expand(-1, -1, 2).reshape(-1)
            shift = self.bias.expand(-1, -1, 2).reshape(-1)
        y = functional.batch_norm(flat, None, None, scale, shift, training=True, eps=_EPSILON)
        return y.view(members, features, batch)

    @torch.no_grad()
    def collect(self, x: Tensor, n_source: int) -> Tensor:
        """Store the statistics of a pass over (K, features, source + target) and normalise it.

        Args:
            x: activations; the first ``n_source`` events are source.
            n_source: the two domains need not be equally many here.
        """
        halves = (x[..., :n_source], x[..., n_source:]) if self.per_domain else (x, x)
        for domain, half in enumerate(halves):
            variance, mean = torch.var_mean(half, dim=-1, correction=0)
            self.mean[domain] = mean
            self.variance[domain] = variance
        parts = (x[..., :n_source], x[..., n_source:])
        return torch.cat([self.apply_domain(p, d) for d, p in enumerate(parts)], dim=-1)

    def apply_domain(self, x: Tensor, domain: int | Tensor) -> Tensor:
        """Normalise (K, features, batch) by stored statistics.

        Args:
            x: activations.
            domain: whose, 0 source or 1 target; or (K,) of these.
        """
        members = torch.arange(self.mean.shape[1], device=x.device)
        mean, variance = self.mean[domain, members], self.variance[domain, members]
        scale = self.weight * torch.rsqrt(variance.unsqueeze(-1) + _EPSILON)
        return torch.addcmul(self.bias - mean.unsqueeze(-1) * scale, x, scale)
