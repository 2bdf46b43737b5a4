"""Activations, layer normalisation, dropout and residual layers of a stack."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hepdann.networks import AdversarialNetwork, NetworkShape, StackedDropout, StackedLayerNorm

_spec = importlib.util.spec_from_file_location(
    "reference", Path(__file__).parents[1] / "training" / "reference.py"
)
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


@pytest.mark.parametrize("activation", ["relu", "elu", "gelu", "tanh", "sigmoid"])
@pytest.mark.parametrize("normalisation", ["none", "layer", "domain"])
@pytest.mark.parametrize("residual", [False, True])
def test_outputs_and_gradients_are_those_of_a_plain_torch_module(
    activation, normalisation, residual
):
    shape = NetworkShape(
        5, 3, (8, 8), (6, 6), (4,), normalisation, activation=activation, residual=residual
    )
    stack = AdversarialNetwork(shape, [1, 2, 3]).double()
    x = torch.randn(3, 5, 20, dtype=torch.float64)
    features = stack.features(x)
    label = stack.label_logits(features[..., :10])
    domain = stack.domain_logits(features, -torch.ones(3, 1, 1, dtype=torch.float64))
    (label.square().sum() + domain.square().sum()).backward()
    for k in range(3):
        plain = reference.PlainDANN(shape).double()
        plain.take_weights(stack, k)
        halves = [plain.features(half) for half in (x[k, :, :10].T, x[k, :, 10:].T)]
        expected = plain.label_head(halves[0])
        assert torch.allclose(label[k].T, expected, atol=1e-12)
        d = plain.domain_head(torch.cat(halves))
        (expected.square().sum() + d.square().sum()).backward()
        theirs = reference.PlainDANN(shape).double()
        for parameter in stack.parameters():  # read the gradients the way weights are read
            parameter.data, parameter.grad = parameter.grad, parameter.data
        theirs.take_weights(stack, k)
        for parameter in stack.parameters():
            parameter.data, parameter.grad = parameter.grad, parameter.data
        for mine, other in zip(plain.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(mine.grad, other, atol=1e-10)


def test_layer_normalisation_is_torchs_for_each_member():
    norm = StackedLayerNorm(2, 6)
    norm.weight.data.uniform_(0.5, 2)
    norm.bias.data.normal_()
    x = torch.randn(2, 6, 9) * 3 + 1
    for k in range(2):
        plain = nn.LayerNorm(6)
        plain.weight.data, plain.bias.data = norm.weight[k, :, 0], norm.bias[k, :, 0]
        assert torch.allclose(norm(x)[k].T, plain(x[k].T), atol=1e-5)


def dropped(seeds, layer=0, step=0, probability=0.3, shape=(40, 50)):
    dropout = StackedDropout(seeds, layer, probability)
    dropout.step.fill_(step)
    return dropout(torch.ones(len(seeds), *shape)) == 0


@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4, unique=True),
    st.integers(0, 2**31 - 1),
)
def test_a_members_mask_follows_from_its_seed_layer_and_step_alone(seeds, step):
    together = dropped(seeds, step=step)
    for k, seed in enumerate(seeds):
        assert torch.equal(together[k], dropped([seed], step=step)[0])


def test_masks_of_seeds_layers_steps_and_places_are_independent():
    """Shares agree with 0.3, and of two masks with 0.3 squared, within five standard errors."""
    masks = [
        *dropped([0, 1, 2, 3, 2**40], shape=(300, 300)),
        *(dropped([0], layer=n, shape=(300, 300))[0] for n in (1, 2)),
        *(dropped([0], step=n, shape=(300, 300))[0] for n in (1, 2, 1000)),
    ]
    masks += [masks[0].roll(1, 0), masks[0].roll(1, 1), masks[0].T]
    n = 300 * 300
    for i, a in enumerate(masks):
        assert abs(a.double().mean() - 0.3) < 5 * (0.3 * 0.7 / n) ** 0.5
        for b in masks[:i]:
            both = (a & b).double().mean()
            assert abs(both - 0.09) < 5 * (0.09 * 0.91 / n) ** 0.5


def test_dropout_keeps_the_mean_passes_gradients_and_rests_in_prediction():
    x = torch.randn(1, 30, 40, dtype=torch.float64, requires_grad=True)
    dropout = StackedDropout([7], 0, 0.4)
    y = dropout(x)
    kept = (y != 0).double() / 0.6
    assert torch.equal(y, x * kept)
    y.sum().backward()
    assert torch.equal(x.grad, kept)
    assert dropout.eval()(x) is x


def test_a_network_drops_otherwise_in_every_step_and_starts_with_the_same_weights():
    plain, network = (
        AdversarialNetwork(NetworkShape(4, 2, dropout=p, normalisation="none"), [3, 4])
        for p in (0.0, 0.5)
    )
    for a, b in zip(plain.parameters(), network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert plain.state_dict().keys() == network.state_dict().keys()  # a mask is no state
    x = torch.randn(2, 4, 60)
    passes = []
    for step in (0, 1, 0):
        network.set_step(step)
        passes.append(network.features(x))
    assert torch.equal(passes[0], passes[2])
    assert not torch.equal(passes[0], passes[1])
    network.eval()
    plain.eval()
    assert torch.equal(network.features(x), plain.features(x))


def test_one_class_is_a_regression():
    network = AdversarialNetwork(NetworkShape(4, 1), [1, 2])
    values, domain = network.predict(torch.randn(1, 4, 30) * 9, 0)
    assert values.shape == (2, 30, 1)
    assert domain.shape == (2, 30)
    assert not ((values > 0) & (values < 1)).all()  # no probabilities
