"""A training step of all members: gradients, clipping, Adam, averaged weights."""

from __future__ import annotations

import math

import numpy as np

from .gradients import gradients
from .layout import PART, SIZE, START, Shape, State, Table, Work
from .loops import Real, compiled

__all__ = ["step"]


@compiled
def _clip(k: int, part: int, state: State, largest: float) -> None:
    """Scale the gradient of a part of member ``k`` down to the norm ``largest``."""
    slope, square = state.gradients[part], 0.0
    real = slope.dtype.type
    for row in range(len(state.tensors)):
        if state.tensors[row, PART] == part:
            low, some = state.tensors[row, START] + k * state.tensors[row, SIZE], real(0)
            for j in range(low, low + state.tensors[row, SIZE]):
                some += slope[j] * slope[j]
            square += some
    scale = largest / (math.sqrt(square) + 1e-6)
    if scale < 1:
        for row in range(len(state.tensors)):
            if state.tensors[row, PART] == part:
                low = state.tensors[row, START] + k * state.tensors[row, SIZE]
                for j in range(low, low + state.tensors[row, SIZE]):
                    slope[j] *= real(scale)


@compiled
def _advance(k: int, part: int, state: State, rate: float, done: int, decay: float) -> None:
    """Adam, then the averaged weights, of a part of member ``k``.

    Kingma & Ba, "Adam" (2015), algorithm 1, with β₁ = 0.9, β₂ = 0.999, ε = 1e-8.

    Args:
        k: member.
        part: of the network, by number.
        state: is changed.
        rate: learning rate.
        done: steps, this one included.
        decay: of the average.
    """
    value, slope, average = state.values[part], state.gradients[part], state.averages[part]
    first, second = state.firsts[part], state.seconds[part]
    real = value.dtype.type
    pace, root = real(rate / (1 - 0.9**done)), real(math.sqrt(1 - 0.999**done))
    fresh, keep, new, tiny = real(0.1), real(0.999), real(0.001), real(1e-8)
    towards = real(1 - decay)
    for row in range(len(state.tensors)):
        if state.tensors[row, PART] == part:
            low = state.tensors[row, START] + k * state.tensors[row, SIZE]
            for j in range(low, low + state.tensors[row, SIZE]):
                g = slope[j]
                m = first[j] + fresh * (g - first[j])
                v = second[j] * keep + new * g * g
                first[j], second[j] = m, v
                value[j] -= pace * m / (np.sqrt(v) / root + tiny)
                average[j] += towards * (value[j] - average[j])


@compiled
def step(
    shape: Shape,
    work: Work,
    state: State,
    x: Real,
    label: Table,
    weight: Real,
    lambda_: Real,
    rates: Real,
    settings: tuple[float, float, float],
    done: int,
    figures: Real,
) -> None:
    """Train one step, member after member.

    Args:
        shape: of the networks.
        work: memory to work in.
        state: is changed.
        x: (K, F, D * B) features.
        label: (K, D - 1, B) class indices.
        weight: (K, D, B) event weights.
        lambda_: (K,) λ·λ_p.
        rates: (K,) learning rates.
        settings: w_d, largest norm of a part's gradient, decay of the averaged weights.
        done: steps, this one included.
        figures: (3, K) receives L_y, L_d and the domain accuracy.
    """
    domain_weight, largest, decay = settings
    for part in range(3):
        state.gradients[part][:] = 0
    for k in range(len(x)):
        figures[0, k], figures[1, k], figures[2, k] = gradients(
            k, shape, work, state.values, state.gradients, x, label, weight, lambda_[k],
            domain_weight,
        )  # fmt: skip
        for part in range(3):
            _clip(k, part, state, largest)
            _advance(k, part, state, rates[k], done, decay)
