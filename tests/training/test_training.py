from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hepdann import methods
from hepdann.config.schedules import LambdaSchedule, RateSchedule
from hepdann.domains import Scaling, auto_batch_size, epoch_order, resident
from hepdann.errors import RunError
from hepdann.networks import NetworkShape
from hepdann.stats import log_loss
from hepdann.tensors import Source
from hepdann.training import Member, StackTrainer, load_checkpoint, save_checkpoint
from hepdann.training.batches import Slot, epoch_batches

MEMBERS = [
    Member(methods.get("source-only"), 0.0, 1),
    Member(methods.get("dann"), 1.0, 2),
]
ALTERNATING = [Member(methods.get("dann-alternating"), 1.0, 2)]


@given(n=st.integers(1, 300), rounds=st.integers(1, 4), seed=st.integers(0, 9))
def test_an_epoch_sees_every_event_equally_often(n, rounds, seed):
    order = epoch_order(n, n * rounds, seed=seed, epoch=1, stream=0)
    assert (np.bincount(order, minlength=n) == rounds).all()


def test_epochs_streams_and_seeds_are_shuffled_differently():
    orders = [
        tuple(epoch_order(50, 50, seed=s, epoch=e, stream=d))
        for s in (0, 1)
        for e in (0, 1)
        for d in (0, 1)
    ]
    assert len(set(orders)) == 8


@given(st.integers(1, 10_000_000))
def test_auto_batch_size_is_a_power_of_two_that_fits(n):
    size = auto_batch_size(n)
    assert 1 <= size <= max(n, 1)
    assert size <= 4096
    if n >= 128:
        assert size >= 128
        assert size & (size - 1) == 0


def test_lambda_follows_ganins_ramp():
    assert LambdaSchedule(name="ganin").at(0, 100) == 0
    assert LambdaSchedule(name="ganin").at(50, 100) == pytest.approx(math.tanh(2.5))
    assert LambdaSchedule(name="ganin").at(100, 100) == pytest.approx(1, abs=1e-4)
    assert LambdaSchedule(name="constant").at(0, 100) == 1


def test_cosine_falls_from_base_to_zero():
    rates = [RateSchedule(name="cosine").at(s, 100) for s in range(101)]
    assert rates[0] == 1
    assert rates[100] == pytest.approx(0)
    assert all(a > b for a, b in itertools.pairwise(rates))


def test_scaling_is_that_of_the_training_split_and_imputes():
    x = np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, 5.0], [100.0, 7.0]], np.float32)
    source = Source(
        x,
        np.array([1, -1, 2, 1], np.float32),
        np.arange(4, dtype=np.uint64),
        np.array([0, 0, 0, 2], np.uint8),
        np.zeros(4, np.int32),
        ("a", "b"),
    )
    scaling = Scaling.fit(source, np.array([2.0, 0.0]))
    assert scaling.mean == pytest.approx([2, 5])
    assert scaling.std == pytest.approx([np.sqrt(0.5), 1])
    scaled = scaling.apply(x)
    assert scaled[2, 0] == 0
    assert np.isfinite(scaled).all()
    assert np.array_equal(Scaling.from_dict(scaling.to_dict()).apply(x), scaled)


@pytest.mark.parametrize("members", [MEMBERS, ALTERNATING])
def test_resumed_training_is_bit_identical(domains, settings, tmp_path, members):
    _, _, _, sources, targets = domains(dtype=torch.float32)
    shape = NetworkShape(4, 2, normalisation="none" if members is ALTERNATING else "domain")

    def trainer():
        return StackTrainer(members, shape, sources, targets, settings(dtype=torch.float32))

    whole = trainer()
    whole.run()
    path = tmp_path / "stack.safetensors"
    first, steps = trainer(), iter(range(27))
    first.run(save=lambda t: save_checkpoint(t, path, "x"), stop=lambda: next(steps, None) is None)
    assert (first.epoch, first.position) == (2, 7)
    first.record()  # what is done for a run of what was trained so far leaves the checkpoint alone
    second = trainer()
    assert load_checkpoint(second, path, "x")
    second.run()
    assert all(
        torch.equal(a, b)
        for a, b in zip(whole.network.parameters(), second.network.parameters(), strict=True)
    )
    assert json.dumps(whole.history) == json.dumps(second.history)
    assert (whole.best.loss, whole.best.epoch) == (second.best.loss, second.best.epoch)
    assert all(torch.equal(whole.best.average[k], second.best.average[k]) for k in whole.parts)


def test_checkpoint_of_other_settings_is_refused(domains, settings, tmp_path):
    _, _, _, sources, targets = domains()
    trainer = StackTrainer(MEMBERS, NetworkShape(4, 2), sources, targets, settings())
    path = tmp_path / "stack.safetensors"
    save_checkpoint(trainer, path, "this")
    with pytest.raises(RunError, match="other tensors or settings"):
        load_checkpoint(trainer, path, "that")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="damaged"):
        load_checkpoint(trainer, path, "this")


def test_stop_keeps_what_was_trained(domains, settings):
    _, _, _, sources, targets = domains()
    trainer = StackTrainer(MEMBERS, NetworkShape(4, 2), sources, targets, settings())
    steps = iter(range(14))
    assert not trainer.run(stop=lambda: next(steps, None) is None)
    trainer.record()
    assert [row["epoch"] for row in trainer.history] == [1, 1, 2, 2]
    assert trainer.history[-1]["step"] == 14


def test_a_loss_that_is_not_finite_is_named(domains, settings):
    source, target, scaling, _, _ = domains()
    wild = source.with_features(np.where(source.features > 2, np.inf, source.features))
    sources = [resident(wild, scaling, device="cpu")]
    targets = [resident(target, scaling, device="cpu")]
    trainer = StackTrainer(
        MEMBERS,
        NetworkShape(4, 2, normalisation="none"),
        sources,
        targets,
        settings(dtype=torch.float32),
    )
    with pytest.raises(RunError, match=r"source-only \(seed 1\) is not finite in epoch 1"):
        trainer.run()


def test_a_stack_learns_and_its_history_says_so(domains, settings):
    _, _, _, sources, targets = domains(dtype=torch.float32)
    seen = []
    trainer = StackTrainer(
        MEMBERS, NetworkShape(4, 2), sources, targets, settings(dtype=torch.float32, epochs=8)
    )
    trainer.run(watch=lambda epoch, scores: seen.append((epoch, len(scores), scores)))
    first, last = trainer.history[0], trainer.history[-2]
    assert last["validation_loss"] < first["validation_loss"]
    assert [e for e, _, _ in seen] == list(range(8))
    assert seen[0][2][0].shape == (240, 2)


def test_weights_act_as_repeated_events(domains, settings):
    """Full-batch steps: weight 2 equals the event twice, a zero weight its absence."""
    source, _target, scaling, _, targets = domains(n=200)
    weight = np.ones(200, np.float32)
    weight[::2] = 3
    rows = np.repeat(np.arange(200), weight.astype(int))
    losses = []
    for events in (
        Source(**{**vars(source), "weight": weight}),
        Source(**{**vars(source), "weight": np.ones(200, np.float32)}).take(rows),
    ):
        domain = resident(events, scaling, device="cpu", dtype=torch.float64)
        n = domain.n_train
        trainer = StackTrainer(
            MEMBERS,
            NetworkShape(4, 2, normalisation="none"),
            [domain],
            targets,
            settings(epochs=1, steps=1, batch_size=n),
        )
        trainer.run()
        losses.append(trainer.history[0]["loss_label"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_the_best_epoch_of_each_member_is_kept_beside_the_last(domains, settings):
    _, _, _, sources, targets = domains(dtype=torch.float32)
    seen = []
    trainer = StackTrainer(
        MEMBERS, NetworkShape(4, 2), sources, targets, settings(dtype=torch.float32, epochs=6)
    )
    trainer.run(save=lambda t: seen.append({k: p.average.clone() for k, p in t.parts.items()}))
    for k in range(2):
        losses = [row["validation_loss"] for row in trainer.history if row["member"] == k]
        assert trainer.best.loss[k] == min(losses)
        assert trainer.best.epoch[k] == losses.index(min(losses))
        for name, part in trainer.parts.items():
            best = part.by_member(trainer.best.average[name])
            then = part.by_member(seen[trainer.best.epoch[k]][name])
            assert all(torch.equal(a[k], b[k]) for a, b in zip(best, then, strict=True))


def test_a_batch_holds_source_auxiliaries_and_target_in_this_order(domains):
    """Each member draws from the domains that it names, and no two slots share an order."""
    _, _, _, sources, targets = domains()
    copies = [dataclasses.replace(sources[0], x=sources[0].x + shift) for shift in (100, 200)]
    slots = (
        Slot(0, [*sources, *copies], (0, 0)),
        Slot(3, [*sources, *copies], (1, 2)),
        Slot(1, targets, (0, 0)),
    )
    batches = list(epoch_batches(slots, (1, 2), epoch=0, size=16, steps=3))
    assert [(step, last) for step, _, last in batches] == [(0, 3), (1, 3), (2, 3)]
    batch = batches[1][1]
    assert (batch.size, batch.domains, batch.labelled) == (16, 3, 32)
    assert batch.label.shape == (2, 2, 16)
    assert batch.weight.shape == (2, 3, 16)
    where = (batch.x.view(2, 4, 3, 16).mean((1, 3)) / 100).round()
    assert where.tolist() == [[0, 1, 0], [0, 2, 0]]
    assert not torch.equal(batch.x[0, :, :16] + 100, batch.x[0, :, 16:32])


def test_training_and_validation_losses_have_one_normalisation(domains, settings):
    """On the same events, with weights of both signs, a network that stands still has one loss.

    It is the mean per event, as metrics have it: Σ w ℓ / Σ w.
    """
    source, target, scaling, _, _ = domains()
    both = []
    for events in (source, target):
        train = np.flatnonzero(events.split == 0)
        twice = events.take(np.concatenate([train, train]))
        split = np.repeat(np.array([0, 1], np.uint8), len(train))
        twice = dataclasses.replace(twice, split=split)
        both.append([resident(twice, scaling, device="cpu", dtype=torch.float64)])
    options = settings(epochs=1, steps=1, batch_size=len(train), learning_rate=1e-15)
    trainer = StackTrainer(MEMBERS, NetworkShape(4, 2, normalisation="none"), *both, options)
    trainer.run()
    (events,), _ = both
    assert (events.weight < 0).any()
    assert events.weight.mean().item() == pytest.approx(1)
    with trainer.averaged() as network:
        scores = network.predict(events.x_validation.unsqueeze(0), 0)[0].detach().numpy()
    for row in trainer.history:
        score, weight = scores[row["member"]], 7 * events.weight_validation.numpy()
        expected = log_loss(score, events.label_validation.numpy(), weight).value
        assert row["validation_loss"] == pytest.approx(row["loss_label"], rel=1e-6)
        assert row["validation_loss"] == pytest.approx(expected, rel=1e-6)
        if row["method"] == "dann":
            assert row["validation_loss_domain"] == pytest.approx(row["loss_domain"], rel=1e-6)


@pytest.mark.parametrize("sign", [-1, 0])
def test_weights_that_do_not_add_up_to_more_than_0_are_refused(domains, sign):
    source, target, scaling, _, _ = domains()
    for events, name in ((source, "MC"), (target, "target")):
        events = dataclasses.replace(events, weight=np.full(len(events), sign, np.float32))
        with pytest.raises(RunError, match=f"weights of the {name}'s training split do not add"):
            resident(events, scaling, device="cpu")


def test_one_class_is_a_regression_of_the_label(domains, settings):
    """A linear label is learned to its noise; the loss is the weighted squared error."""
    source, target, scaling, _, _ = domains(n=2000)
    generator = np.random.default_rng(0)
    clean = source.features @ np.array([0.5, -1, 0, 2], np.float32)
    label = (clean + 0.1 * generator.normal(size=len(clean))).astype(np.float32)
    source = Source(**{**vars(source), "label": label, "weight": np.ones(2000, np.float32)})
    sources = [resident(source, scaling, device="cpu", dtype=torch.float64)]
    targets = [resident(target, scaling, device="cpu", dtype=torch.float64)]
    trainer = StackTrainer(
        [Member(methods.get("source-only"), 0.0, 1), Member(methods.get("dann"), 0.1, 1)],
        NetworkShape(4, 1, (32,), (), (4,), "none", activation="tanh"),
        sources,
        targets,
        settings(epochs=20, learning_rate=0.02, steps=18),
    )
    trainer.run()
    last = trainer.history[-2]
    with trainer.averaged() as network:
        found = network.predict(sources[0].x_validation.unsqueeze(0), 0)[0][0, :, 0]
    error = (found - sources[0].label_validation).square().mean()
    assert last["validation_loss"] == pytest.approx(float(error))
    assert error < 0.05 * label.var()
    assert math.isnan(last["validation_accuracy"])
