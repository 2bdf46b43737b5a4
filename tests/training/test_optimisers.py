"""Half precision: losses are scaled, member by member, and a checkpoint knows by how much."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hepdann import methods
from hepdann.domains.image_stream import resident_images
from hepdann.networks import Modules, NetworkShape, ViewsNetwork, register
from hepdann.networks.minerva import TowerPlan
from hepdann.networks.pictures import perceptron
from hepdann.training import Member, Settings, StackTrainer, load_checkpoint, save_checkpoint
from hepdann.training.optimisers import LossScale
from hepdann.training.stack import Stack

from .pictures import VIEWS, domain

PIXELS = sum(c * h * w for _, c, h, w in VIEWS)
SHAPE = NetworkShape(PIXELS, 3, domain_head=(7,), network="tiny-half", views=VIEWS, autocast="fp16")
MEMBERS = [Member(methods.get("dann"), 1.0, 3), Member(methods.get("source-only"), 0.0, 8)]


def tiny(shape):
    plan = TowerPlan((3, 4), ((4, 3), (3, 3)), 8, dropout=0.0)
    trunk = perceptron((8 * len(VIEWS), 10))
    return Modules(ViewsNetwork(shape.views, [plan] * len(VIEWS), trunk, shape.autocast))


register("tiny-half", tiny)


@pytest.fixture(scope="module")
def events():
    sides = domain(200, 1), domain(150, 2, labelled=False)
    return tuple(resident_images(*side, device="cpu") for side in sides)


def trainer(events, shape=SHAPE, **more):
    settings = Settings(**{"epochs": 2, "batch_size": 20, "steps": 6, "ema": 0.9} | more)
    return StackTrainer(MEMBERS, shape, events[:1], events[1:], settings)


def values(stack):
    return torch.cat([part.value.detach() for part in stack.parts.values()])


def plain():
    """A stack of perceptrons whose gradients are all one."""
    members = [1, 2, 3]
    settings = Settings(epochs=1, batch_size=4, steps=1)
    stack = Stack(NetworkShape(4, 2, (5,)), members, methods.get("dann").phases, settings)
    parts = list(stack.parts.values())
    for part in parts:
        part.gradient.fill_(1.0)
    return parts, LossScale(3, parts[0].value.detach())


def test_half_precision_trains_as_single_does_within_its_rounding(events):
    half, single = trainer(events), trainer(events, replace(SHAPE, autocast="none"))
    assert half.stack.loss_scale is not None
    assert single.stack.loss_scale is None
    start = values(half.stack).clone()
    assert half.run()
    assert single.run()
    assert not torch.equal(values(half.stack), values(single.stack))
    moved = (values(single.stack) - start).norm()
    assert (values(half.stack) - values(single.stack)).norm() < 0.2 * moved
    assert half.stack.loss_scale.value.tolist() == [2.0**16] * 2


def test_without_half_precision_a_power_of_two_changes_no_bit(events):
    scaled, bare = (trainer(events, replace(SHAPE, autocast="none")) for _ in range(2))
    scaled.stack.loss_scale = LossScale(2, values(scaled.stack))
    assert scaled.run()
    assert bare.run()
    assert torch.equal(values(scaled.stack), values(bare.stack))


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_a_gradient_that_is_not_finite_is_that_of_its_member_alone(bad):
    parts, scale = plain()
    parts[1].by_member(parts[1].gradient)[0][1, 0] = bad
    scale.unscale(parts)
    assert scale.value.tolist() == [2.0**16, 2.0**15, 2.0**16]
    assert scale.clean.tolist() == [1, 0, 1]
    for part in parts:
        for slope in part.by_member(part.gradient):
            assert (slope[1] == 0).all()
            assert (slope[::2] == 2.0**-16).all()


def test_a_factor_that_did_no_harm_for_long_doubles():
    parts, scale = plain()
    scale.clean[0] = 1_998
    for expected in ([2.0**16] * 3, [2.0**17, 2.0**16, 2.0**16], [2.0**17, 2.0**16, 2.0**16]):
        scale.unscale(parts)
        assert scale.value.tolist() == expected
    assert scale.clean.tolist() == [1, 3, 3]


def test_a_resume_knows_the_factors(events, tmp_path):
    whole, stopped, resumed = (trainer(events) for _ in range(3))
    for one in (whole, stopped, resumed):
        one.stack.loss_scale.value.fill_(2.0**24)  # overflows, and halves until it does not
    assert whole.run()
    path = tmp_path / "one.safetensors"
    stopped.run(stop=lambda: stopped.position == 3)
    save_checkpoint(stopped, path, "same")
    assert load_checkpoint(resumed, path, "same")
    assert resumed.run()
    assert torch.equal(values(whole.stack), values(resumed.stack))
    factors = whole.stack.loss_scale.value
    assert torch.equal(factors, resumed.stack.loss_scale.value)
    assert (factors < 2.0**24).all()
    assert (whole.stack.loss_scale.clean > 0).any()


def test_a_smaller_stack_keeps_the_factors_of_its_members(events):
    stack = trainer(events).stack
    stack.loss_scale.value.copy_(torch.tensor([4.0, 8.0]))
    smaller = stack.select([1])
    assert smaller.loss_scale.value.tolist() == [8.0]
    smaller.loss_scale.value.fill_(16.0)
    stack.put(smaller, [1])
    assert stack.loss_scale.value.tolist() == [4.0, 16.0]
