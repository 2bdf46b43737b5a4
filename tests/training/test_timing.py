"""Stages add up to the time that passed, on a device that works behind the program's back too."""

from __future__ import annotations

import json

import pytest
import torch

from hepdann import methods
from hepdann.networks import NetworkShape
from hepdann.training import Clock, Member, StackTrainer


@pytest.fixture
def time(monkeypatch):
    """A clock on the wall that the test turns."""
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def passes(seconds):
        now[0] += seconds

    return passes


def test_laps_add_up_to_the_time_that_passed(time):
    clock = Clock()
    for step in range(3):
        clock.step(step)
        for stage, seconds in (("data", 1), ("forward", 2), ("backward", 4)):
            time(seconds)
            clock.lap(stage)
    assert clock.seconds == {"data": 3, "forward": 6, "backward": 12}


def test_what_is_left_in_a_devices_queue_is_shared_out(time, monkeypatch):
    """A step queues 3 s of work in no time; only waiting shows that it takes 1 s and 2 s."""
    queue = [0.0]

    def wait():
        time(queue[0])
        queue[0] = 0.0

    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    clock = Clock("cuda")
    for step in range(100):
        clock.step(step)
        for stage, seconds in (("forward", 1.0), ("backward", 2.0)):
            queue[0] += seconds
            clock.lap(stage)
    clock.step(100)
    assert clock.seconds["forward"] == pytest.approx(100)
    assert clock.seconds["backward"] == pytest.approx(200)
    assert sum(clock.seconds.values()) == pytest.approx(300)


def test_a_training_splits_its_time(domains, settings):
    _, _, _, sources, targets = domains()
    members = [Member(methods.get("dann"), 1.0, 0), Member(methods.get("source-only"), 0.0, 0)]
    trainer = StackTrainer(
        members, NetworkShape(4, 2), sources, targets, settings(epochs=2, engine="torch")
    )
    seen = []
    trainer.run(progress=seen.append, save=lambda _: None)
    seconds = trainer.stack.clock.seconds
    assert set(seconds) >= {"data", "forward", "backward", "optimiser", "validation", "checkpoint"}
    assert all(value >= 0 for value in seconds.values())
    json.dumps(seconds, allow_nan=False)
    dann, quiet = seen[-1].methods
    assert (dann.name, dann.networks, quiet.name) == ("dann", 1, "source-only")
    assert dann.lambda_ == pytest.approx(1, abs=1e-3)
    assert quiet.lambda_ == 0
    assert seen[-1].label_loss == pytest.approx((dann.label_loss + quiet.label_loss) / 2)
