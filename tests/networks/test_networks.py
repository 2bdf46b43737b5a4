from __future__ import annotations

import pytest
import torch
from torch import nn

from hepdann.networks import (
    AdversarialNetwork,
    GradientReversal,
    NetworkShape,
    StackedBatchNorm,
    StackedLinear,
    adversarial,
    reverse_gradient,
)
from hepdann.networks.layers import member_generators


def test_reversal_is_the_identity_forward_and_minus_factor_backward():
    x = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    factor = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64).view(3, 1, 1)
    y = reverse_gradient(x, factor)
    assert torch.equal(y, x)
    g = torch.randn_like(x)
    y.backward(g)
    assert torch.equal(x.grad, -factor * g)


def test_the_reversal_is_a_module_whose_lambda_can_be_set():
    layer = GradientReversal(0.5)
    head = nn.Sequential(layer, nn.Linear(3, 1))
    x = torch.randn(4, 3, requires_grad=True)
    for lambda_ in (0.5, 2.0):
        layer.lambda_.fill_(lambda_)
        (gradient,) = torch.autograd.grad(head(x).sum(), x)
        torch.testing.assert_close(gradient, -lambda_ * head[1].weight.expand(4, 3))
    assert not layer.state_dict()


@pytest.mark.parametrize("normalisation", ["domain", "shared", "none"])
def test_gradients_are_those_of_finite_differences(normalisation):
    torch.manual_seed(0)
    shape = NetworkShape(3, 3, (4,), (3,), (3,), normalisation)
    network = AdversarialNetwork(shape, [1, 2]).double()
    x = torch.randn(2, 3, 8, dtype=torch.float64, requires_grad=True)

    def label(x):
        return network.label_logits(network.features(x)[..., :4])

    def domain(x):  # -1 makes the reversal the identity, whose gradient is the true one
        return network.domain_logits(network.features(x), torch.full((2, 1, 1), -1.0).double())

    assert torch.autograd.gradcheck(label, (x,))
    assert torch.autograd.gradcheck(domain, (x,))


def test_stacked_linear_starts_and_acts_as_linear():
    stacked = StackedLinear(6, 5, member_generators([7, 8]))
    assert stacked.weight.abs().max() <= 6**-0.5
    plain = nn.Linear(6, 5)
    plain.weight.data, plain.bias.data = stacked.weight.data[1], stacked.bias.data[1, :, 0]
    x = torch.randn(2, 6, 9)
    assert torch.allclose(stacked(x)[1].T, plain(x[1].T), atol=1e-6)


def test_initial_weights_follow_the_members_seed_alone():
    shape = NetworkShape(6, 2)
    both, alone = AdversarialNetwork(shape, [3, 4]), AdversarialNetwork(shape, [4])
    for a, b in zip(both.parameters(), alone.parameters(), strict=True):
        assert torch.equal(a[1], b[0])
    assert not torch.equal(both.label_head[0].weight[0], both.label_head[0].weight[1])


@pytest.mark.parametrize("domains", [2, 4])
def test_per_domain_normalisation_is_batchnorm1d_of_each_domain(domains):
    x = torch.randn(2, 3, 10 * domains)
    x[..., 10:20] = x[..., 10:20] * 5 + 3
    norm = StackedBatchNorm(2, 3, per_domain=True, domains=domains)
    norm.weight.data.uniform_(0.5, 2)
    norm.bias.data.normal_()
    y = norm(x)
    for k in range(2):
        for half in (slice(10 * d, 10 * d + 10) for d in range(domains)):
            plain = nn.BatchNorm1d(3)
            plain.weight.data, plain.bias.data = norm.weight[k, :, 0], norm.bias[k, :, 0]
            assert torch.allclose(y[k][:, half].T, plain(x[k][:, half].T), atol=1e-5)


def test_shared_normalisation_is_batchnorm1d_of_the_whole():
    x = torch.randn(2, 3, 20)
    y = StackedBatchNorm(2, 3, per_domain=False)(x)
    assert torch.allclose(y[1].T, nn.BatchNorm1d(3)(x[1].T), atol=1e-5)


@pytest.mark.parametrize("normalisation", ["domain", "shared"])
def test_an_event_of_weight_3_is_normalised_as_three_events(normalisation):
    network = AdversarialNetwork(NetworkShape(4, 2, (8, 6), (), (5,), normalisation), [1, 2])
    source, target = torch.randn(2, 4, 30), torch.randn(2, 4, 30) * 2 + 1
    size = torch.tensor([0, 1, 3]).repeat(10)
    three, plain = (x.repeat_interleave(size, dim=-1) for x in (source, target)), (source, target)
    weight = size.float().expand(2, 2, 30)
    network.collect_statistics(*three)
    collected = [network.latent(x, d) for d, x in enumerate(plain)]
    network.collect_statistics(*plain, weight=weight.flatten(1))
    features = network.features(torch.cat(plain, dim=-1), weight=weight)
    for d, (x, expected) in enumerate(zip(plain, collected, strict=True)):
        assert torch.allclose(network.latent(x, d), expected, atol=1e-5)
        assert torch.allclose(features[..., 30 * d : 30 * d + 30], expected, atol=1e-5)


@pytest.mark.parametrize("normalisation", ["domain", "shared", "none"])
def test_prediction_with_collected_statistics_is_the_training_pass(normalisation):
    network = AdversarialNetwork(NetworkShape(4, 2, (8, 6), (), (5,), normalisation), [1, 2, 3])
    source, target = torch.randn(3, 4, 30), torch.randn(3, 4, 30) * 2 + 1
    features = network.features(torch.cat([source, target], dim=-1))
    network.collect_statistics(source, target)
    for domain, x, part in ((0, source, slice(0, 30)), (1, target, slice(30, 60))):
        assert torch.allclose(network.latent(x, domain), features[..., part], atol=1e-5)


@pytest.mark.parametrize("normalisation", ["domain", "shared"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_statistics_are_those_of_torch(monkeypatch, normalisation, weighted, dtype):
    torch.manual_seed(0)
    network = AdversarialNetwork(NetworkShape(6, 2, (10, 17), (3,), (3,), normalisation), [1, 2])
    for norm in network.to(dtype).extractor.norm:
        nn.init.uniform_(norm.weight)
        nn.init.uniform_(norm.bias)
    domains = [torch.randn(2, 6, 300, dtype=dtype), 2 + torch.randn(2, 6, 77, dtype=dtype)]
    weight = torch.rand(2, 377, dtype=dtype) if weighted else None
    known = []
    for without in (False, True):  # compiled code
        if without:
            monkeypatch.setattr(adversarial, "compiled_statistics", lambda *_: None)
        network.collect_statistics(*domains, weight=weight)
        known.append([t.clone() for n in network.extractor.norm for t in (n.mean, n.variance)])
    torch.testing.assert_close(*known)


def test_the_target_is_scored_by_the_last_domains_statistics():
    """Source, two copies, target, of different lengths: what an auxiliary looks like is no part."""
    network = AdversarialNetwork(NetworkShape(4, 2, (8, 6), domains=4), [1, 2, 3])
    domains = [torch.randn(3, 4, n) * (n / 20) for n in (30, 10, 20, 40)]
    network.collect_statistics(*domains)
    plain = AdversarialNetwork(NetworkShape(4, 2, (8, 6)), [1, 2, 3])
    plain.collect_statistics(domains[0], domains[3])
    for domain, x in ((0, domains[0]), (1, domains[3])):
        assert torch.allclose(network.latent(x, domain), plain.latent(x, domain), atol=1e-6)
    mixed = network.latent(domains[0], torch.tensor([0, 1, 0]))
    assert torch.equal(mixed[1], network.latent(domains[0], 1)[1])


def test_scores_are_probabilities_and_the_studys_network_has_its_size():
    for classes in (2, 4):
        network = AdversarialNetwork(NetworkShape(6, classes), [1])
        scores, domain = network.predict(torch.randn(1, 6, 50), 0)
        assert scores.shape == (1, 50, classes)
        assert torch.allclose(scores.sum(-1), torch.ones(1, 50), atol=1e-6)
        assert ((domain > 0) & (domain < 1)).all()
    study = AdversarialNetwork(NetworkShape(6, 2, (10, 10, 10), (10, 5), (20, 10), "none"), [1])
    linear = [(6, 10), (10, 10), (10, 10), (10, 10), (10, 5), (5, 1), (10, 20), (20, 10), (10, 1)]
    assert sum(p.numel() for p in study.parameters()) == sum((a + 1) * b for a, b in linear)


@pytest.mark.parametrize("normalisation", ["domain", "shared", "layer", "none"])
def test_passes_in_parts_give_what_one_pass_gives(monkeypatch, normalisation):
    shape = NetworkShape(3, 2, normalisation=normalisation)
    x = torch.randn(3, 3, 50, generator=torch.Generator().manual_seed(0))
    seen = []
    for elements in (1, 1 << 20):
        monkeypatch.setattr("hepdann.networks.layers._IN_CACHE", elements)
        network = AdversarialNetwork(shape, [1, 2, 3]).eval()
        network.collect_statistics(x[..., :20], x[..., 20:])
        seen.append([*network.predict(x, 1), network.classify(x[:1], torch.tensor([0, 1, 0]))])
    for a, b in zip(*seen, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert torch.equal(network.predict(x, 0)[0], network.classify(x, 0))


def test_the_score_of_an_unlikely_class_keeps_its_precision():
    """A mixture takes its logarithm: 1 - 0.9999939 in float32 would be 1 % off."""
    network = AdversarialNetwork(NetworkShape(inputs=2, classes=2, extractor=(3,)), [0])
    last = network.label_head[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(12.0)
    scores = network.scores(torch.zeros(1, 3, 4))
    torch.testing.assert_close(
        scores[0, :, 0].double(), torch.sigmoid(torch.full((4,), -12.0).double()), rtol=1e-6, atol=0
    )


def test_fixed_normalisation_is_a_part_of_the_linear_map():
    """Prediction takes one product where training multiplies and then normalises."""
    shape = NetworkShape(inputs=5, classes=2, normalisation="domain")
    network = AdversarialNetwork(shape, (3, 4)).eval()
    events = torch.randn(2, 5, 400, generator=torch.Generator().manual_seed(1))
    network.collect_statistics(events, 2 * events + 1)
    for domain in (0, 1):
        x = events
        for linear, norm, act in zip(*(getattr(network.extractor, n) for n in
                                       ("linear", "norm", "activation")), strict=True):  # fmt: skip
            mean, variance = norm.mean[domain, ..., None], norm.variance[domain, ..., None]
            x = act(norm.weight * (linear(x) - mean) / torch.sqrt(variance + 1e-5) + norm.bias)
        torch.testing.assert_close(network.latent(events, domain), x, atol=1e-5, rtol=1e-5)
