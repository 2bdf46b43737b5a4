"""Layers of K networks side by side: linear, norms, activations, dropout, gradient reversal.

A stack is feature-major: weights (K, out, in), activations (K, features, batch), so that one
batched matrix product serves every member. This layout does not leave the networks: callers see
(N, F) events and (K, N, C) scores.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .shape import EPSILON, Activation

_NO_WEIGHT = 1e-12  # added to each: lost beside any that counts
_IN_CACHE = 1 << 18  # elements of an activation that a core keeps near itself (1 MiB)
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


class _GradientReversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lambda_: Tensor) -> Tensor:
        ctx.save_for_backward(lambda_)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (lambda_,) = ctx.saved_tensors
        return -lambda_ * gradients[0], None


def reverse_gradient(x: Tensor, lambda_: Tensor) -> Tensor:
    """Pass ``x`` on, unchanged, and multiply the gradient that comes back by minus λ.

    Ganin & Lempitsky, "Unsupervised Domain Adaptation by Backpropagation" (2015), eq. (7)-(8). In a
    stack x is (K, features, batch), and λ (K, 1, 1), one for each member; it is broadcast to x.
    """
    result: Tensor = _GradientReversal.apply(x, lambda_)  # type: ignore[no-untyped-call]
    return result


class GradientReversal(nn.Module):
    """The layer between feature extractor and domain head, as a module.

    Attributes:
        lambda_: minus which the gradient is multiplied by; set it as the training goes on.
    """

    lambda_: Tensor

    def __init__(self, lambda_: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("lambda_", torch.tensor(lambda_), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pass ``x`` on; see :func:`reverse_gradient`."""
        return reverse_gradient(x, self.lambda_)


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

        It holds the first of the D domains, by default all; the weights (K, D, B) are sizes, by
        default alike.
        """
        members, features, batch = x.shape
        parts = domains or self.domains
        if weight is not None:
            groups = parts if self.per_domain else 1
            share = _shares(weight[:, :parts].reshape(members, 1, groups, -1))
            _, variance, centred = _moments(x.reshape(members, features, groups, -1), share)
            y = (centred * torch.rsqrt(variance + EPSILON)).view(members, features, batch)
            return torch.addcmul(self.bias, y, self.weight)
        if not self.per_domain:
            flat = x.reshape(1, members * features, batch)
            scale, shift = self.weight.reshape(-1), self.bias.reshape(-1)
        else:
            flat = x.reshape(1, members * features * parts, batch // parts)
            scale = self.weight.expand(-1, -1, parts).reshape(-1)
            shift = self.bias.expand(-1, -1, parts).reshape(-1)
        y = functional.batch_norm(flat, None, None, scale, shift, training=True, eps=EPSILON)
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

        The sizes of the D domains, which follow each other, need not be equal here. The weights (K,
        all domains) are sizes; by default all are alike. ``members`` are whose activations these
        are.
        """
        starts = list(itertools.accumulate(sizes, initial=0))
        parts = [x.narrow(-1, start, n) for start, n in zip(starts, sizes, strict=False)]
        for domain, (part, start) in enumerate(zip(parts, starts, strict=False)):
            events = part if self.per_domain else x
            if weight is None:
                mean = events.mean(dim=-1, keepdim=True)  # a tenth of the time of torch.var_mean
                variance = (events - mean).square_().mean(dim=-1, keepdim=True)
            else:
                sizes_of = weight[:, start : start + part.shape[-1]] if self.per_domain else weight
                mean, variance, _ = _moments(events, _shares(sizes_of.unsqueeze(1)))
            self.mean[domain, members] = mean.squeeze(-1)
            self.variance[domain, members] = variance.squeeze(-1)
        fixed = zip(parts, self.mean[:, members], self.variance[:, members], strict=True)
        factors = ((part, *self._factors(mean, var, members)) for part, mean, var in fixed)
        return torch.cat([torch.addcmul(shift, y, scale) for y, scale, shift in factors], dim=-1)

    def factors(self, domain: int | Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift (K, features, 1) by statistics: 0 source, 1 target, or (K,) of these."""
        members = torch.arange(self.mean.shape[1], device=self.mean.device)
        row = domain * (self.domains - 1)
        return self._factors(self.mean[row, members], self.variance[row, members])

    def _factors(
        self, mean: Tensor, variance: Tensor, members: slice = slice(None)
    ) -> tuple[Tensor, Tensor]:
        scale = self.weight[members] * torch.rsqrt(variance.unsqueeze(-1) + EPSILON)
        return scale, self.bias[members] - mean.unsqueeze(-1) * scale


def in_cache(x: Tensor, elements: int) -> int:
    """How many of something, each with so many activations at its widest, to work on at a time.

    Large activations of a whole stack come from the memory and go there, layer by layer, which
    takes a processor several times as long as the arithmetic; only a processor, as that of x, wants
    parts.
    """
    return max(1, _IN_CACHE // elements) if x.device.type == "cpu" else 1 << 40


def member_generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One generator a member, so that its weights do not depend on its neighbours."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


class StackedLinear(nn.Module):
    """``y = W x + b`` for each of K members, weights uniform in ±1/√in as in ``torch.nn.Linear``.

    Each member has a generator, which draws its weight, then its bias. The bias is left out before
    a normalisation, which would take it away again.
    """

    def __init__(
        self, inputs: int, outputs: int, generators: Sequence[torch.Generator], *, bias: bool = True
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


assert set(_ACTIVATIONS) == set(get_args(Activation))


class StackedLayerNorm(nn.Module):
    """Layer normalisation of (K, features, batch): each event by its own features.

    Ba, Kiros & Hinton, "Layer Normalization" (2016), eq. (4), with scale and shift. It has no
    statistics, so that it is the same in training and in prediction, for source and target.
    """

    def __init__(self, members: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(members, features, 1))
        self.bias = nn.Parameter(torch.zeros(members, features, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every event."""
        variance, mean = torch.var_mean(x, dim=1, correction=0, keepdim=True)
        return torch.addcmul(self.bias, (x - mean) * torch.rsqrt(variance + EPSILON), self.weight)


def _mix(x: Tensor) -> Tensor:
    """A bijection of int32 that spreads every bit (C. Wellons, "lowbias32", 2018)."""
    x = x ^ ((x >> 16) & 0xFFFF)  # >> of int32 copies the sign: the mask makes it unsigned
    x = x * 0x7FEB352D
    x = x ^ ((x >> 15) & 0x1FFFF)
    x = x * (0x846CA68B - (1 << 32))
    return x ^ ((x >> 16) & 0xFFFF)


class StackedDropout(nn.Module):
    """Dropout of (K, features, batch) whose mask is a function of (seed, layer, step) alone.

    Nothing is drawn from a generator, so nothing need be saved: a resumed training has the masks
    of an uninterrupted one, and a member those that it has alone. Outside training it does nothing
    (Srivastava et al., JMLR 15 (2014) 1929; scaled in training, as in ``torch.nn.Dropout``).

    Args:
        seeds: one a member.
        layer: number of this layer in the network.
        probability: of an activation to be dropped.
    """

    keys: Tensor
    step: Tensor

    def __init__(self, seeds: Sequence[int], layer: int, probability: float) -> None:
        super().__init__()
        words = [np.random.SeedSequence([s, layer, 0xD0]).generate_state(1)[0] for s in seeds]
        keys = torch.from_numpy(np.array(words, np.uint32).view(np.int32))
        self.register_buffer("keys", keys.view(-1, 1, 1), persistent=False)
        self.register_buffer("step", torch.zeros(1, dtype=torch.int32), persistent=False)
        self.probability = probability
        self._places: dict[tuple[torch.Size, torch.device], Tensor] = {}

    def set_step(self, step: int) -> None:
        """Say which step the next passes belong to."""
        self.step.fill_(step)

    def forward(self, x: Tensor) -> Tensor:
        """Drop what this step drops."""
        if not self.training:
            return x
        keys = _mix(self.keys ^ _mix(self.step))
        words = _mix(self._mixed_places(x) ^ keys)
        threshold = int(self.probability * 2**32) - 2**31
        mask = (words >= threshold).to(x.dtype)
        return x * mask.mul_(1 / (1 - self.probability))

    def _mixed_places(self, x: Tensor) -> Tensor:
        """(1, features, batch) a word for each place, the same in every step.

        Those of every size are kept where they are: a captured step reads them there.
        """
        size = x.shape[1:], x.device
        if size not in self._places:
            places = torch.arange(size[0].numel(), dtype=torch.int32, device=x.device)
            self._places[size] = _mix(places).view(1, *size[0])
        return self._places[size]


def activation(name: str, dropout: float, seeds: Sequence[int], layers: Iterator[int]) -> nn.Module:
    """The activation of a hidden layer, with dropout of a probability behind it, unless that is 0.

    There is one seed a member; ``layers`` numbers the layers of a network.
    """
    function = _ACTIVATIONS[name]()
    layer = next(layers)
    if not dropout:
        return function
    return nn.Sequential(function, StackedDropout(seeds, layer, dropout))


def hidden(
    x: Tensor,
    linear: Callable[[Tensor], Tensor],
    act: nn.Module,
    *,
    residual: bool,
    normalise: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """One hidden layer; ``residual`` adds the input where its width is that of the output."""
    y = linear(x)
    if normalise is not None:
        y = normalise(y)
    z: Tensor = act(y)
    return z + x if residual and z.shape[1] == x.shape[1] else z


class Head(nn.Sequential):
    """Linear layers with activations between them; the last layer is linear.

    The widths are those of the input, the hidden layers and the output; ``act`` makes the
    activation of the next hidden layer. A residual layer adds its input, where the widths agree.
    """

    def __init__(
        self,
        widths: Sequence[int],
        generators: Sequence[torch.Generator],
        act: Callable[[], nn.Module],
        *,
        residual: bool,
    ) -> None:
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers += [StackedLinear(a, b, generators), act()]
        super().__init__(*layers[:-1])
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """Map (K, in, batch) to (K, out, batch)."""
        layers = list(self)
        for linear, act in zip(layers[:-1:2], layers[1::2], strict=True):
            x = hidden(x, linear, act, residual=self.residual)
        y: Tensor = layers[-1](x)
        return y
