from __future__ import annotations

import numpy as np
import torch

from hepdann import methods
from hepdann.config.schedules import RateSchedule
from hepdann.networks import NetworkShape
from hepdann.training import Member, StackTrainer, find_learning_rate

MEMBERS = [Member(methods.get("source-only"), 0.0, 1), Member(methods.get("dann"), 1.0, 2)]


def test_a_suggestion_is_a_rate_that_trains_and_the_stack_is_left_as_it_was(domains, settings):
    _, _, _, sources, targets = domains()
    options = settings(optimiser="sgd", momentum=0.0, schedule=RateSchedule(name="constant"))
    trainer = StackTrainer(MEMBERS, NetworkShape(4, 2), sources, targets, options)
    before = {name: part.value.detach().clone() for name, part in trainer.parts.items()}
    found = find_learning_rate(trainer, start=1e-4, end=1e3)
    assert all(torch.equal(part.value, before[name]) for name, part in trainer.parts.items())
    assert found.losses.shape == (len(found.rates), 2)
    assert (np.diff(found.rates) > 0).all()
    assert (found.steepest <= found.lowest).all()
    assert found.suggestion == found.lowest.min() / 10
    losses = {}
    for rate in (found.suggestion, found.rates[0], found.lowest.max() * 1000):
        again = StackTrainer(
            MEMBERS,
            NetworkShape(4, 2),
            sources,
            targets,
            settings(
                optimiser="sgd",
                momentum=0.0,
                schedule=RateSchedule(name="constant"),
                learning_rate=rate,
            ),
        )
        again.run()
        losses[rate] = again.history[-2]["validation_loss"]
    assert min(losses, key=losses.get) == found.suggestion
