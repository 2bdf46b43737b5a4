"""The adversarial fit of a stack of affine maps: a critic of the inputs, with gradient penalty.

Feature-major like every stack here: events are (K, F, n). The critic is piecewise linear, so its
gradient with respect to the inputs is a product of its own matrices with the slopes of its units;
the penalty is differentiated through that product, without a second derivative.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim.adam import adam

from .affine import AdversaryOptions

_SLOPE = 0.2
_HIDDEN = 64, 64  # widths of the critic
_PENALTY = 0.3  # γ of γ/2 · mean |∇D|², on both sides
_SMALLEST = 1e-12
_CHUNK = 200  # steps whose batches are drawn at a time


@dataclass(frozen=True, eq=False)
class FittedStack:
    """The maps of a stack, z ↦ A z + b + V tanh(U (z, ε) + c), between standardised features.

    Attributes:
        matrix: (K, F, F), A.
        offset: (K, F), b.
        inner: (K, R, F + noise), U; ε ~ N(0, 1).
        bias: (K, R), c.
        outer: (K, F, R), V.
    """

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    inner: NDArray[np.float64]
    bias: NDArray[np.float64]
    outer: NDArray[np.float64]


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fit_stack(
    target: NDArray[np.float64],
    source: NDArray[np.float64],
    target_weight: Sequence[NDArray[np.float64]],
    source_weight: Sequence[NDArray[np.float64]],
    seeds: Sequence[int],
    options: AdversaryOptions,
) -> FittedStack:
    """Play K games side by side; a member depends on its own seed and weights alone.

    Args:
        target: (n, F) standardised events to be mapped.
        source: (m, F) standardised events that they shall look like.
        target_weight: K times (n,), mean |w| of 1.
        source_weight: K times (m,), likewise; members may weight the source differently.
        seeds: K seeds, of the critic's start and of the batches.
        options: of the game.

    Returns:
        The averaged maps; without a feature there is no game, and they are empty.
    """
    if not target.shape[1]:
        k, r = len(seeds), options.residual
        shapes = (k, 0, 0), (k, 0), (k, r, options.noise), (k, r), (k, 0, r)
        return FittedStack(*(np.zeros(shape) for shape in shapes))
    with _one_thread():
        game = _Game(target.shape[1], seeds, options)
        draws = [np.random.default_rng([seed, 0xAF]) for seed in seeds]
        sides = [
            (torch.from_numpy(np.ascontiguousarray(x, np.float32)),
             torch.from_numpy(np.ascontiguousarray(np.stack(w), np.float32)))
            for x, w in ((target, target_weight), (source, source_weight))
        ]  # fmt: skip
        for first in range(0, options.steps, _CHUNK):
            count = min(_CHUNK, options.steps - first)
            size = (count, options.batch_size)
            rows = [
                torch.from_numpy(np.stack([d.integers(0, len(x), size) for d in draws], axis=1))
                for x, _ in sides
            ]
            shape = (*size, options.noise)
            noise = [d.standard_normal(shape, np.float32) for d in draws] if options.noise else []
            for step in range(count):
                batches = [
                    (x[index[step]].transpose(1, 2), w.gather(1, index[step]))
                    for (x, w), index in zip(sides, rows, strict=True)
                ]
                each = torch.from_numpy(np.stack([n[step].T for n in noise])) if noise else None
                game.step(*batches[0], *batches[1], each, first + step)
        return game.result()


class _Game:
    """K critics against K maps."""

    def __init__(self, width: int, seeds: Sequence[int], options: AdversaryOptions) -> None:
        self.options = options
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        a, b = _HIDDEN
        self.critic = [
            _uniform(generators, shape, fan_in).requires_grad_()
            for shape, fan_in in (
                ((a, width), width), ((a, 1), width), ((b, a), a), ((b, 1), a), ((1, b), b),
            )
        ]  # fmt: skip
        eye = torch.eye(width).expand(len(seeds), -1, -1).clone()
        self.map = [eye.requires_grad_(), torch.zeros(len(seeds), width, 1, requires_grad=True)]
        r = options.residual
        self.extra = [
            _uniform(generators, (r, width + options.noise), width).requires_grad_(),
            torch.zeros(len(seeds), r, 1, requires_grad=True),
            torch.zeros(len(seeds), width, r, requires_grad=True),
        ]
        self.mean = [p.detach().clone() for p in (*self.map, *self.extra)]
        moving = [*self.map, *(self.extra if r else [])]
        self.moving = (self.critic, moving)
        self.moments = [
            ([torch.zeros_like(p) for p in group], [torch.zeros_like(p) for p in group],
             [torch.zeros(()) for _ in group])
            for group in self.moving
        ]  # fmt: skip

    def step(
        self, target: Tensor, wt: Tensor, source: Tensor, ws: Tensor, noise: Tensor | None, at: int
    ) -> None:
        """One step of the critics, then where it is their turn one of the maps."""
        late = max(0.0, 2 * at / self.options.steps - 1)
        rate = self.options.learning_rate * 0.5 * (1 + math.cos(math.pi * late))
        mapped = self._apply(target, noise)
        both = torch.cat([mapped.detach(), source], dim=-1)
        weight = torch.cat([wt, ws], dim=-1)
        sign = torch.ones_like(weight)
        sign[:, wt.shape[1] :] = -1.0
        value, gradient = self._judge(both)
        wasserstein = self.options.wasserstein
        if wasserstein:
            far = ((gradient + _SMALLEST).sqrt() - 1).clamp(min=0).square()
            loss = value * sign * weight + _PENALTY * far * weight.abs()
        else:
            loss = (functional.softplus(value * sign) + 0.5 * _PENALTY * gradient) * weight
        self._update(0, loss.sum() / wt.shape[1], rate)
        if (at + 1) % self.options.critic_steps:
            return
        value, _ = self._judge(mapped, gradient=False)
        loss = -value if wasserstein else functional.softplus(-value)
        self._update(1, (loss * wt).sum() / wt.shape[1], rate)
        decay = min(self.options.ema, (1 + at) / (10 + at))
        with torch.no_grad():
            for mean, now in zip(self.mean, (*self.map, *self.extra), strict=True):
                mean.lerp_(now, 1 - decay)

    def _apply(self, z: Tensor, noise: Tensor | None) -> Tensor:
        matrix, offset = self.map
        y = torch.baddbmm(offset, matrix, z)
        if self.options.residual:
            inner, bias, outer = self.extra
            given = z if noise is None else torch.cat([z, noise], dim=1)
            y = y + torch.bmm(outer, torch.tanh(torch.baddbmm(bias, inner, given)))
        return y

    def _judge(self, x: Tensor, *, gradient: bool = True) -> tuple[Tensor, Tensor]:
        """D(x), larger for the target, (K, n); and |∇D|², likewise."""
        w1, b1, w2, b2, w3 = self.critic
        first = torch.baddbmm(b1, w1, x)
        second = torch.baddbmm(b2, w2, functional.leaky_relu(first, _SLOPE))
        value = torch.bmm(w3, functional.leaky_relu(second, _SLOPE)).squeeze(1)
        if not gradient:
            return value, value
        back = _before(w3.transpose(1, 2).expand_as(second), second)
        back = _before(torch.bmm(w2.transpose(1, 2), back), first)
        return value, torch.bmm(w1.transpose(1, 2), back).square().sum(1)

    def _update(self, which: int, loss: Tensor, rate: float) -> None:
        """One step of Adam by the function behind torch's class, which imports a compiler."""
        parameters, (first, second, steps) = self.moving[which], self.moments[which]
        gradients = list(torch.autograd.grad(loss, parameters))
        with torch.no_grad():
            adam(
                parameters, gradients, first, second, [], steps, fused=True, lr=rate, beta1=0.5,
                beta2=0.99, eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False,
            )  # fmt: skip

    def result(self) -> FittedStack:
        """The averaged maps."""
        matrix, offset, inner, bias, outer = (m.double().numpy() for m in self.mean)
        return FittedStack(matrix, offset[..., 0], inner, bias[..., 0], outer)


def _before(slopes: Tensor, inputs: Tensor) -> Tensor:
    """The slopes before a leaky ReLU from those behind it."""
    back: Tensor = torch.ops.aten.leaky_relu_backward(slopes, inputs.detach(), _SLOPE, False)
    return back


def _uniform(generators: Sequence[torch.Generator], shape: tuple[int, int], fan_in: int) -> Tensor:
    bound = 1.0 / math.sqrt(fan_in)
    drawn = [torch.rand(shape, generator=g) * 2 * bound - bound for g in generators]
    return torch.stack(drawn)
