"""The stack computes what K separate networks in plain torch compute."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from hepdann import methods
from hepdann.config.schedules import LambdaSchedule, RateSchedule
from hepdann.networks import NetworkShape
from hepdann.training import Member, StackTrainer

_spec = importlib.util.spec_from_file_location(
    "reference", Path(__file__).with_name("reference.py")
)
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

DANN, SOURCE_ONLY = methods.get("dann"), methods.get("source-only")


def members():
    return [
        Member(DANN, 1.0, 3),
        Member(SOURCE_ONLY, 1.0, 5),
        Member(DANN, 0.3, 8),
        Member(DANN, 0.0, 5),
    ]


def flat(trainer, k):
    return torch.cat([p.detach()[k].reshape(-1) for p in trainer.network.parameters()])


@pytest.mark.parametrize(  # each value beside each value of every other
    ("normalisation", "classes", "clip"),
    [("domain", 2, 10.0), ("domain", 3, 0.05), ("none", 2, 0.05), ("none", 3, 10.0)],
)
def test_stack_equals_separate_torch_networks_after_50_steps(
    domains, settings, normalisation, classes, clip
):
    _, _, _, sources, targets = domains(classes=classes)
    shape = NetworkShape(4, classes, (10, 8), (6,), (7, 5), normalisation)
    trainer = StackTrainer(members(), shape, sources, targets, settings(clip=clip))
    plain = []
    for k in range(4):
        model = reference.PlainDANN(shape).double()
        model.take_weights(trainer.network, k)
        reference.train_plain(model, trainer, k, 50)
        plain.append(model)
    trainer.run()
    for k, model in enumerate(plain):
        after = reference.PlainDANN(shape).double()
        after.take_weights(trainer.network, k)
        for a, b in zip(model.parameters(), after.parameters(), strict=True):
            assert torch.allclose(a, b, rtol=0, atol=1e-5)
            assert (a - b).abs().max() < 1e-9  # what it really is


@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "elu", "normalisation": "domain"},
        {"activation": "gelu", "normalisation": "layer"},
        {"activation": "tanh", "normalisation": "none", "residual": True},
        {"activation": "relu", "normalisation": "layer", "residual": True},
    ],
    ids=str,
)
def test_any_network_trains_as_separate_torch_networks_do(domains, settings, changes):
    """50 steps; they agree to 1e-9 in float64, the bound is 1e-6."""
    _, _, _, sources, targets = domains()
    shape = NetworkShape(4, 2, (8, 8), (6, 6), (7, 7), **changes)
    trainer = StackTrainer(members()[:2], shape, sources, targets, settings())
    plain = [reference.PlainDANN(shape).double() for _ in range(2)]
    for k, model in enumerate(plain):
        model.take_weights(trainer.network, k)
        reference.train_plain(model, trainer, k, 50)
    trainer.run()
    for k, model in enumerate(plain):
        after = reference.PlainDANN(shape).double()
        after.take_weights(trainer.network, k)
        for a, b in zip(model.parameters(), after.parameters(), strict=True):
            assert (a - b).abs().max() < 1e-9


def test_float32_stack_stays_within_1e_5_of_separate_networks(domains, settings):
    _, _, _, sources, targets = domains(dtype=torch.float32)
    shape = NetworkShape(4, 2, (10, 8), (6,), (7, 5), "domain")
    trainer = StackTrainer(
        members(), shape, sources, targets, settings(dtype=torch.float32, learning_rate=5e-4)
    )
    models = []
    for k in range(4):
        model = reference.PlainDANN(shape)
        model.take_weights(trainer.network, k)
        reference.train_plain(model, trainer, k, 50)
        models.append(model)
    trainer.run()
    for k, model in enumerate(models):
        after = reference.PlainDANN(shape)
        after.take_weights(trainer.network, k)
        worst = max(
            float((a - b).detach().abs().max())
            for a, b in zip(model.parameters(), after.parameters(), strict=True)
        )
        assert worst < 1e-5


def test_lambda_zero_is_source_only_to_the_bit(domains, settings):
    _, _, _, sources, targets = domains(dtype=torch.float32)
    for normalisation in ("domain", "none"):
        shape = NetworkShape(4, 2, normalisation=normalisation)
        trainer = StackTrainer(
            [Member(SOURCE_ONLY, 1.0, 5), Member(DANN, 0.0, 5), Member(DANN, 0.5, 5)],
            shape,
            sources,
            targets,
            settings(dtype=torch.float32),
        )
        trainer.run()
        extractor = [p.detach() for p in trainer.network.extractor.parameters()]
        head = [p.detach() for p in trainer.network.label_head.parameters()]
        assert all(torch.equal(p[0], p[1]) for p in extractor + head)
        assert not any(torch.equal(p[0], p[2]) for p in extractor)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dropout": 0.3},
        {"dropout": 0.1, "activation": "gelu", "normalisation": "layer", "residual": True},
        {"activation": "elu", "normalisation": "shared"},
        {"activation": "tanh", "normalisation": "none"},
    ],
    ids=str,
)
def test_a_member_does_not_depend_on_its_neighbours(domains, settings, changes):
    _, _, _, sources, targets = domains()
    shape = NetworkShape(4, 2, **changes)
    stack = StackTrainer(members(), shape, sources, targets, settings())
    alone = StackTrainer(members()[2:3], shape, sources, targets, settings())
    stack.run()
    alone.run()
    assert torch.allclose(flat(stack, 2), flat(alone, 0), rtol=0, atol=1e-9)


def test_same_seed_same_bits(domains, settings):
    _, _, _, sources, targets = domains(dtype=torch.float32)
    runs = []
    for _ in range(2):
        trainer = StackTrainer(
            members(), NetworkShape(4, 2), sources, targets, settings(dtype=torch.float32)
        )
        trainer.run()
        runs.append(trainer)
    assert all(
        torch.equal(a, b) for a, b in zip(*(t.network.parameters() for t in runs), strict=True)
    )
    assert runs[0].history == runs[1].history


def test_alternating_is_two_optimisers_in_turn(domains, settings):
    """Against the study's algorithm by hand: L_y on extractor and label head, then λ L_d."""
    _, _, _, sources, targets = domains()
    shape = NetworkShape(4, 2, (10, 8), (6,), (7,), "none")
    method = methods.get("dann-alternating")
    options = settings(
        epochs=1,
        lambda_schedule=LambdaSchedule(name="constant"),
        schedule=RateSchedule(name="constant"),
    )
    trainer = StackTrainer([Member(method, 0.7, 3)], shape, sources, targets, options)
    model = reference.PlainDANN(shape).double()
    model.take_weights(trainer.network, 0)
    extractor, label, domain = model.parts()
    first = torch.optim.Adam([*extractor, *label], lr=options.learning_rate)
    second = torch.optim.Adam([*extractor, *domain], lr=options.learning_rate)
    from hepdann.domains import epoch_order

    size, steps = options.batch_size, options.steps
    i, j = (
        torch.from_numpy(epoch_order(d.n_train, size * steps, seed=3, epoch=0, stream=s))
        for s, d in ((0, sources[0]), (1, targets[0]))
    )
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    for step in range(steps):
        a, b = (rows[step * size : (step + 1) * size] for rows in (i, j))
        first.zero_grad()
        logit = model.label_head(model.features(sources[0].x[a]))[:, 0]
        loss = bce(logit, sources[0].label[a].double(), reduction="none")
        ((loss * sources[0].weight[a]).sum() / size).backward()
        for part in (extractor, label):
            torch.nn.utils.clip_grad_norm_(part, options.clip)
        first.step()
        second.zero_grad()
        total = 0.0
        for events, rows, truth in ((sources[0], a, 0.0), (targets[0], b, 1.0)):
            d = model.domain_head(reference._Reverse.apply(model.features(events.x[rows]), 1.0))
            loss = bce(d[:, 0], torch.full_like(d[:, 0], truth), reduction="none")
            total = total + 0.5 * (loss * events.weight[rows]).sum() / size
        (0.7 * total).backward()
        for part in (extractor, domain):
            torch.nn.utils.clip_grad_norm_(part, options.clip)
        second.step()
    trainer.run()
    after = reference.PlainDANN(shape).double()
    after.take_weights(trainer.network, 0)
    for mine, theirs in zip(model.parameters(), after.parameters(), strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-9)
