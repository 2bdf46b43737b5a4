"""Optimisers, schedules, early stopping and the choice of an epoch, member by member."""

from __future__ import annotations

import itertools
import json

import pytest
import torch

from hepdann import methods
from hepdann.config.schedules import LambdaSchedule, RateSchedule
from hepdann.errors import ConfigError
from hepdann.networks import NetworkShape
from hepdann.training import (
    Member,
    StackTrainer,
    load_checkpoint,
    save_checkpoint,
)

DANN, SOURCE_ONLY = methods.get("dann"), methods.get("source-only")
MEMBERS = (
    Member(SOURCE_ONLY, 0.0, 1, learning_rate=0.03),
    Member(DANN, 1.0, 2),
    Member(DANN, 3.0, 3, learning_rate=1e-4),
    Member(DANN, 1.0, 4, learning_rate=0.05),
)
SHAPE = NetworkShape(4, 2, (10, 8), (6,), (7,), dropout=0.1)

RECIPES = {
    "sgd, inverse, linear": {
        "optimiser": "sgd",
        "schedule": RateSchedule(name="inverse"),
        "lambda_schedule": LambdaSchedule(name="linear", until=0.5),
    },
    "adamw, step": {
        "optimiser": "adamw",
        "weight_decay": 0.1,
        "schedule": RateSchedule(name="step", every=0.2),
    },
    "adam, warm-up, stopping": {
        "schedule": RateSchedule(name="cosine", warm_up=0.3),
        "weight_decay": 0.01,
        "patience": 2,
    },
    "plateau, adaptive, stopping": {
        "schedule": RateSchedule(name="plateau", patience=1, factor=0.5),
        "lambda_schedule": LambdaSchedule(name="adaptive", error=0.3),
        "patience": 3,
    },
    "sgd, plateau, stopping": {
        "optimiser": "sgd",
        "momentum": 0.5,
        "schedule": RateSchedule(name="plateau", patience=2, warm_up=0.1),
        "patience": 2,
    },
}
recipes = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())


@pytest.fixture
def trainer(domains, settings):
    events = {}

    def make(members=MEMBERS, shape=SHAPE, dtype=torch.float64, **changes):
        if dtype not in events:
            events[dtype] = domains(dtype=dtype)[3:]
        options = settings(**{"epochs": 10, "steps": 5, "dtype": dtype, **changes})
        return StackTrainer(members, shape, *events[dtype], options)

    return make


def flat(trainer, k):
    return torch.cat([p.detach()[k].reshape(-1) for p in trainer.network.parameters()])


def averages(trainer, k):
    return torch.cat(
        [piece[k] for part in trainer.parts.values() for piece in part.by_member(part.average)]
    )


def rows(trainer, k):
    return [row for row in trainer.history if row["member"] == k]


@recipes
def test_a_member_alone_is_the_member_in_the_stack(trainer, recipe):
    """Over 50 steps in float64; they agree to 1e-9, the bound is 1e-6."""
    stack = trainer(**recipe)
    stack.run()
    alone = trainer(MEMBERS[3:], **recipe)
    alone.run()
    assert (flat(stack, 3) - flat(alone, 0)).abs().max() < 1e-9
    assert (averages(stack, 3) - averages(alone, 0)).abs().max() < 1e-9
    mine, theirs = rows(stack, 3), rows(alone, 0)
    assert len(mine) == len(theirs)
    for name in ("learning_rate", "grl", "validation_loss"):
        assert [r[name] for r in mine] == pytest.approx([r[name] for r in theirs])


@recipes
def test_a_resumed_training_is_bit_identical(trainer, tmp_path, recipe):
    steps = 13 if "patience" not in recipe else 37
    whole = trainer(dtype=torch.float32, **recipe)
    whole.run()
    first, left = trainer(dtype=torch.float32, **recipe), iter(range(steps))
    path = tmp_path / "stack.safetensors"
    stopped = not first.run(
        save=lambda t: save_checkpoint(t, path, "x"), stop=lambda: next(left, None) is None
    )
    assert stopped or len(whole.history) < 40  # all may have stopped before
    second = trainer(dtype=torch.float32, **recipe)
    assert load_checkpoint(second, path, "x")
    assert second.run()
    assert json.dumps(second.history) == json.dumps(whole.history)
    for name, part in whole.parts.items():
        assert torch.equal(part.value, second.parts[name].value)
        assert torch.equal(part.average, second.parts[name].average)
        assert torch.equal(whole.best.average[name], second.best.average[name])


def test_a_stopped_member_costs_nothing_and_the_rest_goes_on_as_if_it_had_not(trainer):
    """Bit-identical until then; after that a smaller stack rounds otherwise, within 1e-12."""
    sizes = []
    free, stopping = trainer(), trainer(patience=2)
    free.run()
    stopping.run(save=lambda t: sizes.append(len(t.running)))
    ends = [len(rows(stopping, k)) for k in range(4)]
    assert min(ends) < max(ends)
    assert sizes[:-1] == [sum(end > epoch for end in ends) for epoch in range(1, len(sizes))]
    first = min(ends)
    for k, end in enumerate(ends):
        assert rows(stopping, k)[:first] == rows(free, k)[:first]
        losses = [row["validation_loss"] for row in rows(stopping, k)]
        if end < 10:
            assert min(range(end), key=losses.__getitem__) == end - 3
        else:
            assert (flat(stopping, k) - flat(free, k)).abs().max() < 1e-12
            assert (averages(stopping, k) - averages(free, k)).abs().max() < 1e-12


def test_a_stopped_member_keeps_what_it_had(trainer):
    seen = {}
    stopping = trainer(patience=2)

    def note(now):
        for k in range(4):
            seen.setdefault((k, len(rows(now, k))), averages(now, k))

    stopping.run(save=note)
    for k in range(4):
        assert torch.equal(averages(stopping, k), seen[k, len(rows(stopping, k))])
    assert stopping.finished
    assert stopping.chosen_epochs == tuple(len(rows(stopping, k)) for k in range(4))


@pytest.mark.parametrize("monitor", ["validation_loss", "validation_accuracy"])
def test_the_best_epoch_is_chosen_by_a_label_free_figure(trainer, monitor):
    seen = []
    trained = trainer(choose="best", monitor=monitor, patience=4)
    trained.run(save=lambda t: seen.append([averages(t, k) for k in range(4)]))
    sign = -1 if monitor == "validation_accuracy" else 1
    for k, epoch in enumerate(trained.chosen_epochs):
        figures = [sign * row[monitor] for row in rows(trained, k)]
        assert epoch == 1 + min(range(len(figures)), key=figures.__getitem__)
    last = [averages(trained, k) for k in range(4)]
    with trained.chosen() as network:
        for k, epoch in enumerate(trained.chosen_epochs):
            used = torch.cat([p.detach()[k].reshape(-1) for p in network.parameters()])
            assert torch.equal(used, seen[epoch - 1][k])
    assert all(torch.equal(averages(trained, k), kept) for k, kept in enumerate(last))


def test_what_cannot_choose_an_epoch_is_refused(trainer):
    with pytest.raises(ConfigError, match="no epoch can be chosen by 'target_accuracy'"):
        trainer(choose="best", monitor="target_accuracy").run()


def test_a_plateau_lowers_the_rate_of_the_member_that_waits(trainer):
    schedule = RateSchedule(name="plateau", patience=1, factor=0.5)
    trained = trainer(schedule=schedule)
    trained.run()
    assert len({row["learning_rate"] for row in rows(trained, 0)}) > 1
    for k, member in enumerate(MEMBERS):
        own = rows(trained, k)
        base = 2e-3 if member.learning_rate is None else member.learning_rate
        for epoch, row in enumerate(own):
            before = [r["validation_loss"] for r in own[:epoch]]
            assert row["learning_rate"] == base * schedule.after(before)


def test_adaptive_lambda_moves_each_member_by_its_own_domain_error(trainer):
    trained = trainer(lambda_schedule=LambdaSchedule(name="adaptive", error=0.3, gain=2))
    trained.run()
    for k in (1, 2, 3):
        for now, later in itertools.pairwise(rows(trained, k)):
            error = 1 - now["domain_accuracy"]
            assert (later["grl"] > now["grl"]) == (error < 0.3)
    assert {row["grl"] for row in rows(trained, 0)} == {0.0}
