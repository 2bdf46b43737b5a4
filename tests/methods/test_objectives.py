"""What each method minimises, against plain torch, and what λ does to it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from hepdann import methods
from hepdann.methods import AdversaryWeight, Batch
from hepdann.networks import AdversarialNetwork, NetworkShape

_spec = importlib.util.spec_from_file_location("plain", Path(__file__).with_name("plain.py"))
plain = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(plain)

ALL = [methods.get(name) for name in methods.names()]
NAMES = [method.name for method in ALL]


def network_and_batch(method, classes=2, adversary="binary", members=2, seed=0):
    domains = 4 if method.auxiliary else 3 if method.taught else 2
    shape = NetworkShape(
        3,
        classes,
        (5, 4),
        (3,),
        (4,),
        method.normalisation,
        domains=domains,
        domain_classes=domains if adversary == "per-domain" else 2,
        conditioned=method.conditioned,
        nuisances=(0, 3) if method.nuisance_head else (),
        nuisance_head=(4,) if method.nuisance_head else (),
    )
    generator = torch.Generator().manual_seed(seed)
    size = 6
    x = torch.randn(members, 3, domains, size, generator=generator, dtype=torch.float64)
    x = x * torch.arange(1, domains + 1).view(-1, 1)
    weight = torch.randn(members, domains, size, generator=generator, dtype=torch.float64) + 1
    label = torch.randint(classes, (members, domains - 1, size), generator=generator)
    network = AdversarialNetwork(shape, list(range(members))).double()
    with torch.no_grad():  # a fresh network is nearly the same for all events: spread it out
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter += 0.3 * noise
    nuisance = torch.randn(members, 3, domains - 1, size, generator=generator, dtype=torch.float64)
    nuisance[:, 0] += 1
    nuisance[:, 2] = torch.randint(3, nuisance[:, 2].shape, generator=generator).double()
    return network, Batch(x.flatten(2), label, weight, nuisance.flatten(2))


def gradients(network, objective):
    network.zero_grad()
    objective.value.sum().backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]


CASES = [(m, c, "binary") for m in ALL for c in (2, 3)]
CASES += [(m, 2, "per-domain") for m in ALL if m.auxiliary]


@pytest.mark.parametrize(
    ("method", "classes", "adversary"), CASES, ids=lambda v: getattr(v, "name", v)
)
def test_value_and_gradients_are_those_of_loops_over_events(method, classes, adversary):
    network, batch = network_and_batch(method, classes, adversary)
    lambda_ = torch.tensor([0.7, 1.3], dtype=torch.float64) * method.adversarial
    adversary = AdversaryWeight(lambda_, 0.6, 1.7)
    for number, phase in enumerate(method.phases):
        objective = phase.objective(network, batch, adversary)
        stacked = gradients(network, objective)
        for k in range(2):
            model = plain.plain_network(network.shape)
            model.take_weights(network, k)
            member = plain.Member(model, batch, k)
            value = plain.objectives(method.name, member, float(adversary.lambda_[k]), 0.6, 1.7)[
                number
            ]
            value.backward()
            assert torch.allclose(objective.value[k], value, rtol=1e-10, atol=1e-12)
            trained = [getattr(model, part) for part in network.parts[1:]]
            values = [*model.linear.parameters(), *model.norm.parameters()]
            values += [p for part in trained for p in part.parameters()]
            own = [torch.zeros_like(p) if p.grad is None else p.grad for p in values]
            for mine, theirs in zip(stacked, own, strict=True):
                assert torch.allclose(mine[k].reshape(theirs.shape), theirs, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", ["mmd", "coral"])
def test_lambda_multiplies_the_distance(name):
    method = methods.get(name)
    network, batch = network_and_batch(method)
    (phase,) = method.phases
    values, slopes = [], []
    for factor in (0.0, 1.0, 3.0):
        adversary = AdversaryWeight(torch.full((2,), factor, dtype=torch.float64), 1.0)
        objective = phase.objective(network, batch, adversary)
        values.append(objective.value.detach())
        slopes.append(gradients(network, objective))
    assert torch.allclose(values[2] - values[0], 3 * (values[1] - values[0]), rtol=1e-9)
    assert not torch.allclose(values[1], values[0], rtol=1e-3)
    for zero, one, three in zip(*slopes, strict=True):
        assert torch.allclose(three - zero, 3 * (one - zero), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["dann", "hybrid-dann", "cdan"])
def test_lambda_multiplies_the_reversed_gradient_and_not_the_domain_heads(name):
    method = methods.get(name)
    network, batch = network_and_batch(method)
    slopes = []
    for factor in (0.0, 1.0, 3.0):
        adversary = AdversaryWeight(torch.full((2,), factor, dtype=torch.float64), 1.0)
        objective = method.phases[0].objective(network, batch, adversary)
        slopes.append(dict(zip(
            [key for key, _ in network.named_parameters()], gradients(network, objective),
            strict=True,
        )))  # fmt: skip
    zero, one, three = slopes
    for key in zero:
        if key.startswith("extractor"):
            assert torch.allclose(three[key] - zero[key], 3 * (one[key] - zero[key]), atol=1e-12)
            assert not torch.equal(one[key], zero[key])
        else:
            assert torch.equal(three[key], zero[key])


@pytest.mark.parametrize("name", NAMES)
def test_events_of_weight_zero_have_no_part_without_normalisation(name):
    """What a method sees of an event it sees through its weight."""
    method = methods.get(name)
    network, batch = network_and_batch(method)
    plainly = NetworkShape(**{**vars(network.shape), "normalisation": "none"})
    network = AdversarialNetwork(plainly, [0, 1]).double()
    weight = batch.weight.clone()
    weight[..., 2] = 0
    x = batch.x.view(2, 3, batch.domains, batch.size).clone()
    x[..., 2] = x[..., 4]  # keeps the centre and the largest value; only the weight says so
    values = []
    for events in (batch.x, x.flatten(2)):
        adversary = AdversaryWeight(torch.ones(2, dtype=torch.float64), 1.0)
        nuisance = batch.nuisance.clone()
        nuisance[:, 1 if name == "llp" else 0] = weight[:, :-1].flatten(1)
        seen = Batch(events, batch.label, weight, nuisance)
        values.append([p.objective(network, seen, adversary).value for p in method.phases])
    for one, other in zip(*values, strict=True):
        # CORAL's centre is a mean over the batch, whatever the weights are
        close = 0.05 if name == "coral" else 1e-10
        assert torch.allclose(one, other, rtol=close)
