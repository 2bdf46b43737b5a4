"""Networks of the user's own: plain modules on (B, F) that train as members of a stack."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from hepdann import networks
from hepdann.errors import ConfigError
from hepdann.networks import AdversarialNetwork, Modules, NetworkShape

_spec = importlib.util.spec_from_file_location(
    "reference", Path(__file__).parents[1] / "training" / "reference.py"
)
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


class Pairs(nn.Module):
    """No perceptron: each pair of features passes a small network of its own, with attention."""

    def __init__(self, shape):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.2))
        self.weight = nn.Linear(8, 1)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x):
        y = self.inner(x.view(len(x), -1, 2))
        return self.norm((torch.softmax(self.weight(y), 1) * y).sum(1))


networks.register("pairs", Pairs)
SHAPE = NetworkShape(4, 3, label_head=(6,), domain_head=(5,), network="pairs")


def test_members_are_copies_that_pass_one_after_another():
    network = AdversarialNetwork(SHAPE, [1, 2]).double()
    x = torch.randn(2, 4, 40, dtype=torch.float64)
    network.collect_statistics(x[..., :20], x[..., 20:])
    network.eval()
    for k, seed in enumerate((1, 2)):
        with networks.registry.seeded(torch.device("cpu"), seed, 0xC0):
            plain = Pairs(SHAPE).double()
        for domain, part in ((0, x[k, :, :20].T), (1, x[k, :, 20:].T)):
            plain.eval()
            plain.norm.momentum = 1.0
            plain.norm.train()
            plain(part)
            plain.norm.eval()
            assert torch.allclose(network.latent(x, domain)[k], plain(x[k].T).T, atol=1e-12)


def test_domains_are_normalised_apart_and_dropout_follows_from_seed_and_step():
    network = AdversarialNetwork(SHAPE, [1, 2])
    alone = AdversarialNetwork(SHAPE, [2])
    x = torch.randn(2, 4, 60) * 3 + 1
    passes = []
    for step in (4, 5, 4):
        network.set_step(step)
        passes.append(network.features(x))
    assert torch.equal(passes[0], passes[2])
    assert not torch.equal(passes[0], passes[1])
    alone.set_step(4)
    assert torch.allclose(alone.features(x[1:])[0], passes[0][1], atol=1e-6)
    for part in passes[0].split(30, dim=-1):
        assert part.mean(-1).abs().max() < 1e-5
    state = torch.random.get_rng_state()
    network.features(x)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_shared_statistics_are_those_of_all_domains_together():
    network = AdversarialNetwork(replace(SHAPE, normalisation="shared"), [1])
    x = torch.randn(1, 4, 60)
    x[..., 30:] = 3 * x[..., 30:] + 1
    features = network.features(x)
    assert features.mean(-1).abs().max() < 1e-5
    assert features[..., :30].mean(-1).abs().max() > 1e-2
    network.eval()
    network.collect_statistics(x[..., :30], x[..., 30:])
    latent = network.latent(x, 1)
    assert torch.equal(latent, network.latent(x, 0))
    assert latent.mean(-1).abs().max() < 1e-5


def test_the_source_alone_is_one_domain():
    for shape in (SHAPE, replace(SHAPE, network="", extractor=(5,))):
        network = AdversarialNetwork(shape, [1])
        x = torch.randn(1, 4, 60)
        both, alone = network.features(x), network.features(x[..., :30], 1)
        assert torch.allclose(both[..., :30], alone, atol=1e-6)


def test_the_state_of_a_network_comes_back():
    network, other = (AdversarialNetwork(SHAPE, seeds) for seeds in ([1, 2], [3, 4]))
    x = torch.randn(2, 4, 50)
    network.collect_statistics(x, x * 2)
    other.load_state_dict(network.state_dict())
    for a, b in zip(network.eval().predict(x, 1), other.eval().predict(x, 1), strict=True):
        assert torch.equal(a, b)


def test_own_heads_take_the_place_of_the_perceptrons():
    def with_heads(shape):
        return Modules(nn.Linear(shape.inputs, 7), nn.Linear(7, shape.outputs), nn.Linear(7, 1))

    networks.register("with heads", with_heads)
    network = AdversarialNetwork(NetworkShape(4, 3, network="with heads"), [1, 2])
    assert sum(p.numel() for p in network.parameters()) == 2 * (5 * 7 + 8 * 3 + 8)
    scores, domain = network.predict(torch.randn(1, 4, 9), 0)
    assert scores.shape == (2, 9, 3)
    assert domain.shape == (2, 9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda shape: 3, "gave int"),
        (lambda shape: nn.Linear(shape.inputs + 1, 7), "feature extractor fails on events"),
        (lambda shape: nn.Unflatten(1, (2, 2)), r"maps \(2, 4\) to \(2, 2, 2\)"),
        (lambda shape: Modules(nn.Identity(), nn.Linear(4, 9)), "9 outputs, but 3 are needed"),
        (
            lambda shape: Modules(
                nn.Identity(), None, nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 1))
            ),
            "batch normalisation in the domain head",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    networks.register("unfit", make)
    with pytest.raises(ConfigError, match=message):
        AdversarialNetwork(NetworkShape(4, 3, network="unfit"), [1])


def test_a_network_that_nobody_registered_is_refused():
    with pytest.raises(ConfigError, match=r"unknown network 'absent'; known: .*minerva-small"):
        AdversarialNetwork(NetworkShape(4, 3, network="absent"), [1])
