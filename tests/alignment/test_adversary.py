"""The gradients of the game that fits the affine map are those that torch finds by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from hepdann.alignment import adversary
from hepdann.alignment.adversary import AdversaryOptions


def critic_loss(parameters, mapped, source, weights, options):
    """The loss of the critics as the module's docstring and the papers have it."""
    w1, b1, w2, b2, w3 = parameters
    x = torch.cat([mapped, source], dim=2).requires_grad_()
    hidden = functional.leaky_relu(w1 @ x + b1, 0.2)
    value = (w3 @ functional.leaky_relu(w2 @ hidden + b2, 0.2)).squeeze(1)
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    steep, n = slope.square().sum(1), mapped.shape[2]
    sign = torch.cat([torch.ones(n), -torch.ones(n)]).double()
    if options.wasserstein:
        far = (steep.sqrt() - 1).clamp(min=0).square()
        return (value * sign * weights + 0.3 * far * weights.abs()).sum() / n
    return ((functional.softplus(value * sign) + 0.15 * steep) * weights).sum() / n


def map_loss(critic, parameters, target, noise, weight, options):
    """What the maps want: to be taken for the source."""
    w1, b1, w2, b2, w3 = critic
    matrix, offset, inner, bias, outer = parameters
    given = torch.cat([target, noise], dim=1)
    x = matrix @ target + offset + outer @ torch.tanh(inner @ given + bias)
    hidden = functional.leaky_relu(w1 @ x + b1, 0.2)
    value = (w3 @ functional.leaky_relu(w2 @ hidden + b2, 0.2)).squeeze(1)
    loss = -value if options.wasserstein else functional.softplus(-value)
    return (loss * weight).sum() / target.shape[2]


@pytest.mark.parametrize("wasserstein", [False, True])
def test_the_gradients_written_out_are_those_of_the_losses(wasserstein, monkeypatch):
    options = AdversaryOptions(steps=10, residual=5, noise=2, wasserstein=wasserstein)
    game = adversary._Game(3, [0, 1], options)
    generator = np.random.default_rng(4)
    for values in game.map.values:
        values += 0.3 * generator.standard_normal(values.shape)
    game.critic.flat *= 3.0  # steep enough for a penalty beyond a slope of 1
    target, source = generator.standard_normal((2, 2, 3, 40)).astype(np.float32)
    noise = generator.standard_normal((2, 2, 40)).astype(np.float32)
    weights = generator.uniform(-0.5, 1.5, (2, 80)).astype(np.float32)

    found = []
    monkeypatch.setattr(adversary._Parameters, "update", lambda self, _, *all_: found.append(all_))
    game.step(target, weights[:, :40], source, weights[:, 40:], noise, 0)

    def tensors(*arrays):
        return [torch.from_numpy(np.array(a)).double() for a in arrays]

    critic, maps = (
        [p.requires_grad_() for p in tensors(*parameters.values)]
        for parameters in (game.critic, game.map)
    )
    t, s, e, w = tensors(target, source, noise, weights)
    matrix, offset, inner, bias, outer = maps
    mapped = matrix @ t + offset + outer @ torch.tanh(inner @ torch.cat([t, e], dim=1) + bias)
    losses = (
        (critic, critic_loss(critic, mapped.detach(), s, w, options)),
        (maps, map_loss(critic, maps, t, e, w[:, :40], options)),
    )
    for gradients, (parameters, loss) in zip(found, losses, strict=True):
        for ours, theirs in zip(gradients, torch.autograd.grad(loss, parameters), strict=True):
            wanted = theirs.numpy()
            tolerance = 2e-5 * np.abs(wanted).max()
            np.testing.assert_allclose(ours.reshape(wanted.shape), wanted, atol=tolerance)


def test_adam_moves_each_matrix_along_its_own_gradient():
    """Whatever the layout of a gradient in memory, its elements belong to their places."""
    gradient = np.arange(1, 7, dtype=np.float32).reshape(1, 2, 3) * [[[1], [-1]]]
    moved = adversary._Parameters(np.zeros((1, 2, 3), np.float32))
    transposed = np.ascontiguousarray(gradient.transpose(0, 2, 1)).transpose(0, 2, 1)
    moved.update(0.1, transposed.astype(np.float32))
    np.testing.assert_allclose(moved.values[0], -0.1 * np.sign(gradient), rtol=1e-5)
