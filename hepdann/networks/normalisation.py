"""Batch normalisation that knows which domain an event comes from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Normalisation = Literal["domain", "shared", "layer", "none"]

_EPSILON = 1e-5
_NO_WEIGHT = 1e-12  # added to each: lost beside any that counts


def _shares(weight: Tensor) -> Tensor:
    """What each event counts of a sum over the last axis; all alike where no weight is not 0."""
    size = weight + _NO_WEIGHT
    return size / size.sum(dim=-1, keepdim=True)


def _moments(x: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance over the last axis, kept with length 1, and the events less the mean."""
    mean = (x * share).sum(dim=-1, keepdim=True)
    centred = x - mean
    return mean, (centred.square() * share).sum(dim=-1, keepdim=True), centred


class StackedBatchNorm(nn.Module):
    """Batch normalisation of (K, features, batch) with statistics per domain or shared.

    In training the batch is D domains one after the other, equally many events of each: source
    first, target last, labelled copies of the source between them. With ``per_domain`` each is
    normalised by its own mean and variance; scale and shift are shared, as in domain-specific batch
    normalisation with common affine parameters (Li et al., "Revisiting Batch Normalization for
    Practical Domain Adaptation", 2016). Events count by the size of their weights:
    MC whose weighted distributions are those of the data have the same statistics.

    Statistics for prediction are not running averages: :meth:`collect` stores those of the pass it
    is given, so that they belong to the weights that are used, averaged ones included.

    Attributes:
        mean: (D, K, features), source first and target last; equal rows when shared.
        variance: likewise.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, members: int, features: int, *, per_domain: bool, domains: int = 2) -> None:
        super().__init__()
        self.per_domain, self.domains = per_domain, domains
        self.weight = nn.Parameter(torch.ones(members, features, 1))
        self.bias = nn.Parameter(torch.zeros(members, features, 1))
        self.register_buffer("mean", torch.zeros(domains, members, features))
        self.register_buffer("variance", torch.ones(domains, members, features))

    def forward(
        self, x: Tensor, domains: int | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Normalise a training batch, (K, features, D * B), by its own statistics.

        Args:
            x: activations.
            domains: how many of the D the batch holds; by default all.
            weight: (K, D, B) sizes of the events' weights; by default all are alike.
        """
        members, features, batch = x.shape
        parts = domains or self.domains
        if weight is not None:
            groups = parts if self.per_domain else 1
            share = _shares(weight[:, :parts].reshape(members, 1, groups, -1))
            _, variance, centred = _moments(x.reshape(members, features, groups, -1), share)
            y = (centred * torch.rsqrt(variance + _EPSILON)).view(members, features, batch)
            return torch.addcmul(self.bias, y, self.weight)
        if not self.per_domain:
            flat = x.reshape(1, members * features, batch)
            scale, shift = self.weight.reshape(-1), self.bias.reshape(-1)
        else:
            flat = x.reshape(1, members * features * parts, batch // parts)
            scale = self.weight.expand(-1, -1, parts).reshape(-1)
            shift = self.bias.expand(-1, -1, parts).reshape(-1)
        y = functional.batch_norm(flat, None, None, scale, shift, training=True, eps=_EPSILON)
        return y.view(members, features, batch)

    @torch.no_grad()
    def collect(
        self,
        x: Tensor,
        sizes: Sequence[int],
        members: slice = slice(None),
        weight: Tensor | None = None,
    ) -> Tensor:
        """Store the statistics of a pass over (K, features, all domains) and normalise it.

        Args:
            x: activations, domain after domain.
            sizes: events of each of the D domains; they need not be equally many here.
            members: whose activations these are.
            weight: (K, all domains) sizes of the events' weights; by default all are alike.
        """
        starts = list(itertools.accumulate(sizes, initial=0))
        parts = [x.narrow(-1, start, n) for start, n in zip(starts, sizes, strict=False)]
        for domain, (part, start) in enumerate(zip(parts, starts, strict=False)):
            events = part if self.per_domain else x
            if weight is None:
                mean = events.mean(dim=-1, keepdim=True)  # a tenth of the time of torch.var_mean
                variance = (events - mean).square_().mean(dim=-1, keepdim=True)
            else:
                own = weight[:, start : start + part.shape[-1]] if self.per_domain else weight
                mean, variance, _ = _moments(events, _shares(own.unsqueeze(1)))
            self.mean[domain, members] = mean.squeeze(-1)
            self.variance[domain, members] = variance.squeeze(-1)
        fixed = zip(parts, self.mean[:, members], self.variance[:, members], strict=True)
        return torch.cat([self._normalise(*entry, members) for entry in fixed], dim=-1)

    def factors(self, domain: int | Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift (K, features, 1) that stored statistics normalise by.

        Args:
            domain: whose, 0 source or 1 target; or (K,) of these.
        """
        members = torch.arange(self.mean.shape[1], device=self.mean.device)
        row = domain * (self.domains - 1)
        return self._factors(self.mean[row, members], self.variance[row, members])

    def _normalise(
        self, x: Tensor, mean: Tensor, variance: Tensor, members: slice = slice(None)
    ) -> Tensor:
        scale, shift = self._factors(mean, variance, members)
        return torch.addcmul(shift, x, scale)

    def _factors(
        self, mean: Tensor, variance: Tensor, members: slice = slice(None)
    ) -> tuple[Tensor, Tensor]:
        scale = self.weight[members] * torch.rsqrt(variance.unsqueeze(-1) + _EPSILON)
        return scale, self.bias[members] - mean.unsqueeze(-1) * scale
