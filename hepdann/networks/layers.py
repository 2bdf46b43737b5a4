"""What stands between the linear layers of a stack: activation, layer normalisation, dropout."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from .stacked import StackedLinear

Activation = Literal["relu", "elu", "gelu", "tanh", "sigmoid"]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
assert set(_ACTIVATIONS) == set(get_args(Activation))

_EPSILON = 1e-5


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
        return torch.addcmul(self.bias, (x - mean) * torch.rsqrt(variance + _EPSILON), self.weight)


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
    """The activation of a hidden layer, with dropout behind it where there is any.

    Args:
        name: of the activation.
        dropout: probability; 0 is none.
        seeds: one a member.
        layers: numbers the layers of a network.
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

    Args:
        widths: of the input, the hidden layers and the output.
        generators: one a member, for its initial weights.
        act: makes the activation of the next hidden layer.
        residual: whether a hidden layer adds its input, where the widths agree.
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
