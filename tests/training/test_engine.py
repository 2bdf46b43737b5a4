"""The seam: what a step computes stays apart from how it is executed."""

from __future__ import annotations

import pytest
import torch

from hepdann import methods
from hepdann.config.schedules import LambdaSchedule, RateSchedule
from hepdann.errors import ConfigError
from hepdann.networks import NetworkShape
from hepdann.training import Member, StackTrainer
from hepdann.training.batches import epoch_batches
from hepdann.training.engine import engine_for
from hepdann.training.optimisers import StackOptimiser
from hepdann.training.schedules import StepValues, average_decay
from hepdann.training.stack import Stack

SHAPE = NetworkShape(4, 2, (8,), (), (6,))


@pytest.mark.parametrize("name", ["dann", "dann-alternating"])
def test_an_engine_takes_batches_and_values_and_nothing_else(domains, settings, name):
    """Steps by hand, on a stack without a trainer, are those of a training, to the bit."""
    _, _, _, sources, targets = domains(dtype=torch.float32)
    options = settings(dtype=torch.float32, epochs=2)
    members = [Member(methods.get(name), 0.7, 3), Member(methods.get(name), 0.1, 4)]
    trainer = StackTrainer(members, SHAPE, sources, targets, options)
    stack = Stack(SHAPE, [3, 4], members[0].method.phases, options)
    engine, at, total = engine_for(stack, options), 0, 20
    for epoch in range(2):
        for _, batch, _ in epoch_batches(
            trainer.slots, [3, 4], epoch=epoch, size=options.batch_size, steps=options.steps
        ):
            values = StepValues(
                at,
                rates=(options.learning_rate * RateSchedule(name="cosine").at(at, total),) * 2,
                lambda_=torch.tensor([0.7, 0.1]) * LambdaSchedule(name="ganin").at(at, total),
                domain_weight=1.0,
                clip=options.clip,
                average_decay=average_decay(options.ema, at),
            )
            seen = engine.step(batch, values)
            assert all(figure.shape == (2,) for figure in seen.values())
            at += 1
    trainer.run()
    for name_, part in trainer.parts.items():
        assert torch.equal(part.value, stack.parts[name_].value)
        assert torch.equal(part.average, stack.parts[name_].average)


def test_an_engine_that_nobody_knows_is_refused(domains, settings):
    _, _, _, sources, targets = domains()
    members = [Member(methods.get("dann"), 1.0, 1)]
    trainer = StackTrainer(members, SHAPE, sources, targets, settings(engine="warp"))
    with pytest.raises(ConfigError, match="unknown engine 'warp'"):
        trainer.run()


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_rates_of_members_are_those_of_optimisers_of_their_own(name, settings):
    """Against torch's optimiser on each member's parameters alone, with weight decay."""
    rates = [(0.1, 0.02, 0.0), (0.05, 0.05, 0.05), (0.01, 0.1, 0.03)]
    phases = methods.get("dann").phases
    stack = Stack(SHAPE, [1, 2, 3], phases, settings())
    parts = list(stack.parts.values())
    optimiser = StackOptimiser(parts, name, weight_decay=0.1, momentum=0.8)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[name]
    more = {"momentum": 0.8} if name == "sgd" else {}
    alone, plain = [], []
    for k in range(3):
        mine = [torch.nn.Parameter(p.detach()[k].clone()) for p in stack.network.parameters()]
        alone.append(mine)
        plain.append(kind(mine, lr=1.0, weight_decay=0.1, **more))
    generator = torch.Generator().manual_seed(0)
    for step in rates * 4:
        for part in parts:
            part.gradient.copy_(torch.randn(part.gradient.shape, generator=generator))
        for k, single in enumerate(plain):
            for mine, whole in zip(alone[k], stack.network.parameters(), strict=True):
                mine.grad = whole.grad[k].clone()
            single.param_groups[0]["lr"] = step[k]
            single.step()
        optimiser.step(step)
    for k in range(3):
        for mine, whole in zip(alone[k], stack.network.parameters(), strict=True):
            assert torch.allclose(mine, whole[k], rtol=0, atol=1e-12)


def test_an_optimiser_that_nobody_knows_is_refused(settings):
    stack = Stack(SHAPE, [1], methods.get("dann").phases, settings())
    with pytest.raises(ConfigError, match="unknown optimiser 'lion'"):
        StackOptimiser(list(stack.parts.values()), "lion")
