"""The learned map: an affine one, fitted against a critic of the inputs, with gradient penalty.

Feature-major like every stack here: events are (K, F, n). The critic is piecewise linear, so its
gradient with respect to the inputs is a product of its own matrices with the slopes of its units,
and that of the penalty one with the same slopes: all gradients are written out here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..stats.threads import one_thread
from ..tensors.source_and_target import Target
from .base import both_sides, unit_weight
from .linear import LinearMap, conjugate

Values = NDArray[np.float32]
_SLOPE = np.float32(0.2)
_HIDDEN = 64, 64  # widths of the critic
_PENALTY = 0.3  # γ of γ/2 · mean |∇D|², on both sides
_SMALLEST = 1e-12
_CHUNK = 200  # steps whose batches are drawn at a time


@dataclass(frozen=True)
class AdversaryOptions:
    """How the game is played.

    Attributes:
        steps: of the critic and of the map, in turn.
        batch_size: events of each side a step, drawn with replacement.
        learning_rate: of Adam(.5, .99); it falls as a cosine over the second half.
        ema: decay of the average of the map, which is the result.
        residual: hidden units of an additional non-linear part, 0 for none.
        noise: random numbers of an event that this part is given too.
        wasserstein: the critic of a WGAN, whose |∇D| is drawn to 1 with γ (arXiv:1704.00028).
        critic_steps: for each step of the map.
    """

    steps: int = 1200
    batch_size: int = 256
    learning_rate: float = 1e-3
    ema: float = 0.995
    residual: int = 0
    noise: int = 0
    wasserstein: bool = False
    critic_steps: int = 1


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


def fit_stack(
    target: NDArray[np.float64],
    source: NDArray[np.float64],
    target_weight: Sequence[NDArray[np.float64]],
    source_weight: Sequence[NDArray[np.float64]],
    seeds: Sequence[int],
    options: AdversaryOptions,
) -> FittedStack:
    """Play K games side by side; a member depends on its own seed and weights alone.

    The events (n, F) of the target, which are mapped, and (m, F) of the source are standardised.
    Their weights, K times (n,) or (m,), are of mean |w| 1; members may weight the source
    differently.

    Returns:
        The averaged maps; without a feature there is no game, and they are empty.
    """
    if not target.shape[1]:
        k, r = len(seeds), options.residual
        shapes = (k, 0, 0), (k, 0), (k, r, options.noise), (k, r), (k, 0, r)
        return FittedStack(*(np.zeros(shape) for shape in shapes))
    members = np.arange(len(seeds))[:, None]
    sides = [
        (x.astype(np.float32), np.stack(w).astype(np.float32))
        for x, w in ((target, target_weight), (source, source_weight))
    ]
    with one_thread():
        game = _Game(target.shape[1], seeds, options)
        draws = [np.random.default_rng([seed, 0xAF]) for seed in seeds]
        for first in range(0, options.steps, _CHUNK):
            count = min(_CHUNK, options.steps - first)
            size = (count, options.batch_size)
            rows = [np.stack([d.integers(0, len(x), size) for d in draws], 1) for x, _ in sides]
            shape = (*size, options.noise)
            noise = [d.standard_normal(shape, np.float32) for d in draws] if options.noise else []
            for step in range(count):
                batches = [
                    (x[index[step]].transpose(0, 2, 1), w[members, index[step]])
                    for (x, w), index in zip(sides, rows, strict=True)
                ]
                each = np.stack([n[step].T for n in noise]) if noise else None
                game.step(*batches[0], *batches[1], each, first + step)
        return game.result()


class _Parameters:
    """Matrices of K members in one array, which Adam(.5, .99) moves."""

    def __init__(self, *matrices: Values) -> None:
        shapes = [one.shape[1:] for one in matrices]
        self._ends = np.cumsum([0, *map(math.prod, shapes)])
        self._shapes = shapes
        self.flat = np.concatenate([one.reshape(len(one), -1) for one in matrices], axis=1)
        self.values = self.views(self.flat)
        self._first, self._second, self._steps = *np.zeros((2, *self.flat.shape), np.float32), 0

    def views(self, flat: Values) -> list[Values]:
        """The matrices within an array like ``flat``."""
        pairs = zip(self._shapes, self._ends[:-1], self._ends[1:], strict=True)
        return [flat[:, a:b].reshape(len(flat), *shape) for shape, a, b in pairs]

    def update(self, rate: float, *gradients: Values) -> None:
        """One step along gradients that are shaped like the matrices."""
        flat = np.concatenate([one.reshape(len(one), -1) for one in gradients], axis=1)
        self._steps += 1
        self._first += 0.5 * (flat - self._first)
        self._second += 0.01 * (flat * flat - self._second)
        root = np.sqrt(self._second / (1 - 0.99**self._steps)) + 1e-8
        self.flat -= rate / (1 - 0.5**self._steps) * self._first / root


class _Game:
    """K critics against K maps."""

    def __init__(self, width: int, seeds: Sequence[int], options: AdversaryOptions) -> None:
        self.options, k = options, len(seeds)
        generators = [np.random.default_rng([seed, 0xAE]) for seed in seeds]
        a, b = _HIDDEN
        self.critic = _Parameters(
            *(_uniform(generators, shape, fan_in) for shape, fan_in in (
                ((a, width), width), ((a, 1), width), ((b, a), a), ((b, 1), a), ((1, b), b),
            ))
        )  # fmt: skip
        r, zeros = options.residual, np.zeros
        eye = np.eye(width, dtype=np.float32) + zeros((k, 1, 1), np.float32)
        self.map = _Parameters(
            eye, zeros((k, width, 1), np.float32),
            _uniform(generators, (r, width + options.noise), width),
            zeros((k, r, 1), np.float32), zeros((k, width, r), np.float32),
        )  # fmt: skip
        self.mean = self.map.flat.copy()

    def step(
        self, target: Values, wt: Values, source: Values, ws: Values, noise: Values | None, at: int
    ) -> None:
        """A step of the critics, then where it is their turn one of the maps; ``at`` is its number.

        Events are (K, F, n) of target and source, their weights (K, n); the (K, noise, n) numbers
        are given to the maps too.
        """
        late = max(0.0, 2 * at / self.options.steps - 1)
        rate = self.options.learning_rate * 0.5 * (1 + math.cos(math.pi * late))
        matrix, offset, inner, bias, outer = self.map.values
        given = target if noise is None else np.concatenate([target, noise], axis=1)
        bent = np.tanh(inner @ given + bias)
        mapped = matrix @ target + offset + outer @ bent
        self._move_critic(mapped, wt, source, ws, rate)
        if (at + 1) % self.options.critic_steps:
            return
        value, slope = self._judged(mapped)[:2]
        wrong = 1.0 if self.options.wasserstein else _sigmoid(-value)
        pull = slope * (-wrong * wt[:, None] / wt.shape[1])
        back = (outer.transpose(0, 2, 1) @ pull) * (1 - bent * bent)
        self.map.update(
            rate,
            pull @ target.transpose(0, 2, 1), pull.sum(-1),
            back @ given.transpose(0, 2, 1), back.sum(-1), pull @ bent.transpose(0, 2, 1),
        )  # fmt: skip
        self.mean += (1 - min(self.options.ema, (1 + at) / (10 + at))) * (self.map.flat - self.mean)

    def _judged(self, x: Values) -> tuple[Values, ...]:
        """D(x), larger for the source, (K, 1, n), and its gradient (K, F, n).

        Also of both hidden layers the outputs, the slopes of the units, and the slopes of D in
        front of them.
        """
        w1, b1, w2, b2, w3 = self.critic.values
        first = w1 @ x + b1
        slope1 = (first > 0) * (1 - _SLOPE) + _SLOPE
        first *= slope1
        second = w2 @ first + b2
        slope2 = (second > 0) * (1 - _SLOPE) + _SLOPE
        second *= slope2
        back2 = slope2 * w3.transpose(0, 2, 1)
        back1 = w2.transpose(0, 2, 1) @ back2
        back1 *= slope1
        gradient = w1.transpose(0, 2, 1) @ back1
        return w3 @ second, gradient, first, second, slope1, slope2, back1, back2

    def _move_critic(
        self, mapped: Values, wt: Values, source: Values, ws: Values, rate: float
    ) -> None:
        x = np.concatenate([mapped, source], axis=2)
        weight = np.concatenate([wt, ws], axis=1)[:, None]
        weight /= wt.shape[1]
        sign = np.repeat(np.array([1, -1], np.float32), [wt.shape[1], ws.shape[1]])
        value, gradient, first, second, slope1, slope2, back1, back2 = self._judged(x)
        steep = np.square(gradient).sum(1, keepdims=True)
        if self.options.wasserstein:
            norm = np.sqrt(steep + np.float32(_SMALLEST))
            pull = sign * weight
            push = 2 * _PENALTY * np.maximum(norm - 1, 0) / norm * np.abs(weight)
        else:
            pull = _sigmoid(value * sign) * sign * weight
            push = _PENALTY * weight
        tilt = push * gradient  # the loss's derivative by the gradient of D, as pull is by D
        w1, _, w2, _, _ = self.critic.values
        tilt1 = w1 @ tilt
        tilt1 *= slope1
        tilt2 = w2 @ tilt1
        tilt2 *= slope2
        across = pull.transpose(0, 2, 1)
        by_third = (second @ across).transpose(0, 2, 1) + tilt2.sum(-1)[:, None]
        first *= pull
        first += tilt1
        self.critic.update(
            rate,
            back1 @ (pull * x + tilt).transpose(0, 2, 1), back1 @ across,
            back2 @ first.transpose(0, 2, 1), back2 @ across, by_third,
        )  # fmt: skip

    def result(self) -> FittedStack:
        """The averaged maps."""
        views = self.map.views(self.mean)
        matrix, offset, inner, bias, outer = (m.astype(np.float64) for m in views)
        return FittedStack(matrix, offset[..., 0], inner, bias[..., 0], outer)


def _sigmoid(x: Values) -> Values:
    return np.asarray(1 / (1 + np.exp(-x)))


def _uniform(
    generators: Sequence[np.random.Generator], shape: tuple[int, int], fan_in: int
) -> Values:
    """(K, …) numbers between ± 1/√fan_in, each generator's own."""
    bound = 1.0 / math.sqrt(fan_in)
    return np.stack([g.uniform(-bound, bound, shape) for g in generators]).astype(np.float32)


class AffineMap(LinearMap):
    """x ↦ A x + b, fitted by an adversary.

    The mean of the maps of several seeds, which end near each other where the two samples fix the
    map and cancel each other's noise.
    """

    name: ClassVar[str] = "affine"

    @classmethod
    def fit(
        cls,
        target: Target,
        source: Target,
        *,
        seed: int = 0,
        members: int = 3,
        options: AdversaryOptions | None = None,
    ) -> Self:
        """Play the games and average the maps; no label is read.

        Args:
            target: as in :meth:`.Kind.fit`; a missing value counts as the mean of its feature.
            source: likewise.
            seed: of the first member.
            members: games, side by side.
            options: of the games; by default those of DESIGN 6.3.
        """
        of_target, of_source, active = both_sides(target, source)
        stack = fit_stack(
            of_target.unit(target.features)[:, active],
            of_source.unit(source.features)[:, active],
            [unit_weight(target.weight)] * members,
            [unit_weight(source.weight)] * members,
            range(seed, seed + members),
            options or AdversaryOptions(),
        )
        core, shift = np.eye(len(active)), np.zeros(len(active))
        maps = []
        for matrix, offset in zip(stack.matrix, stack.offset, strict=True):
            core[np.ix_(active, active)], shift[active] = matrix, offset
            maps.append(conjugate(core, shift, of_target, of_source))
        return cls(*(np.mean(parts, axis=0) for parts in zip(*maps, strict=True)))

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described, or that of an older version."""
        return super().from_dict(stored.get("linear", stored))
