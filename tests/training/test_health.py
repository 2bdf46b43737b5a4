"""Planted faults are found, healthy trainings have none, and looking changes no bit."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from hepdann import methods
from hepdann.domains import Scaling, resident
from hepdann.errors import RunError
from hepdann.methods import AdversaryWeight
from hepdann.networks import NetworkShape
from hepdann.tensors import Source, Target
from hepdann.training import (
    Health,
    Member,
    Settings,
    StackTrainer,
    load_checkpoint,
    probes,
    save_checkpoint,
)
from hepdann.training.health import FAULTS, health_epochs
from hepdann.training.health_figures import FIGURES, examine
from hepdann.training.probes import discriminant_scores, probe_of, weighted_auc
from hepdann.training.settings import threads

_path = Path(__file__).parents[2] / "benchmarks" / "checks" / "health_plants.py"
_spec = importlib.util.spec_from_file_location("health_plants", _path)
health_plants = importlib.util.module_from_spec(_spec)
sys.modules["health_plants"] = health_plants  # dataclasses look their module up
_spec.loader.exec_module(health_plants)
PLANTS = health_plants.plants()

STUDY = {"extractor": (10, 10, 10), "label_head": (10, 5), "domain_head": (20, 10)}


@pytest.fixture(scope="module")
def events():
    """Source and a target that is scaled and moved, enough to learn from in a few epochs."""
    rng = np.random.default_rng(3)
    n = 6000

    def draw():
        label = rng.integers(0, 2, n).astype(np.int32)
        x = rng.normal(size=(n, 5)).astype(np.float32)
        x[:, 0] += 2 * label
        x[:, 1] += label * x[:, 2]
        return x, label

    split = np.tile([0, 0, 0, 1, 2], n // 5).astype(np.uint8)
    weight = np.where(rng.random(n) < 0.05, -1, 1).astype(np.float32)
    ids = np.arange(n, dtype=np.uint64)
    (x, label), (shifted, _) = draw(), draw()
    source = Source(x, weight, ids, split, label, ("background", "signal"))
    shifted = (shifted + 0.4 * np.sin(2 * shifted)).astype(np.float32)
    target = Target(shifted, np.ones(n, np.float32), ids + np.uint64(n), split)
    scaling = Scaling.fit(source, np.zeros(5))
    return [resident(source, scaling, device="cpu")], [resident(target, scaling, device="cpu")]


@pytest.fixture
def stack(events):
    def make(members, normalisation="domain", epochs=4, **shape):
        settings = Settings(epochs=epochs, batch_size=64, steps=56)
        network = NetworkShape(5, 2, normalisation=normalisation, **shape)
        return StackTrainer(members, network, *events, settings)

    return make


def watched(trainer):
    """Train under watch; returns the health, finished or failed."""
    health = Health(trainer)
    try:
        trainer.run(save=lambda _: health.look())
    except RunError:
        health.fail()
    return health


def faults(health):
    last = max(entry["epoch"] for entry in health.entries)
    return {v["name"] for e in health.entries if e["epoch"] == last for v in e["verdicts"]}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_fault_is_found(stack, plant):
    trainer = stack([plant.member])
    plant.do(trainer)
    assert plant.fault in faults(watched(trainer))


def test_every_fault_is_planted():
    assert {plant.fault for plant in PLANTS} == {fault.name for fault in FAULTS}


@pytest.mark.parametrize("normalisation", ["domain", "shared", "none"])
def test_healthy_trainings_have_no_fault(stack, normalisation):
    dann = methods.get("dann")
    members = [Member(methods.get("source-only"), 0.0, 0)]
    members += [Member(dann, lambda_, 1) for lambda_ in (0.1, 0.3, 1.0, 3.0)]
    assert faults(watched(stack(members, normalisation))) == set()


@pytest.mark.parametrize("activation", ["gelu", "tanh"])
def test_healthy_trainings_of_other_networks_have_no_fault(stack, activation):
    trainer = stack(
        [Member(methods.get("dann"), 1.0, 0)], activation=activation, dropout=0.1, residual=True
    )
    assert faults(watched(trainer)) == set()


def test_the_studys_own_algorithm_has_no_fault(stack):
    alternating = methods.get("dann-alternating")
    members = [Member(alternating, lambda_, 2) for lambda_ in (0.1, 1.0, 3.0)]
    assert faults(watched(stack(members, "none", **STUDY))) == set()


def test_a_score_that_forgets_what_tells_the_classes_is_no_fault(events):
    """The nuisance is the feature in which the classes differ most."""
    (source,), targets = events
    columns = torch.stack([torch.ones(source.n_train), source.x[:, 0]], dim=1)
    settings = Settings(epochs=4, batch_size=64, steps=56, nuisance_weight=100.0)
    trainer = StackTrainer(
        [Member(methods.get("disco"), 1.0, 0)],
        NetworkShape(5, 2),
        [replace(source, nuisance=columns)],
        targets,
        settings,
    )
    health = watched(trainer)
    reached, reach = (health.entries[-1][key] - 0.5 for key in ("label_auc", "label_reach"))
    assert reached < 0.5 * reach
    assert faults(health) == set()


@pytest.mark.parametrize("method", ["dann", "dann-alternating"])
def test_looking_changes_no_bit(stack, method):
    members = [Member(methods.get(method), 1.0, seed) for seed in (0, 1)]
    ends = []
    for watch in (True, False):
        trainer = stack(members, epochs=2, dropout=0.2)
        torch.manual_seed(5)
        health = Health(trainer)
        trainer.run(save=(lambda _, h=health: h.look()) if watch else None)
        assert bool(health.entries) == watch
        ends.append(
            (
                trainer.network.state_dict(),
                json.dumps(trainer.history),
                torch.random.get_rng_state(),
            )
        )
    (state, history, random), (state_without, history_without, random_without) = ends
    assert all(torch.equal(state[key], state_without[key]) for key in state)
    assert history == history_without
    assert torch.equal(random, random_without)


def test_entries_are_figures_that_json_can_hold(stack):
    trainer = stack([Member(methods.get("source-only"), 0.0, 0), Member(methods.get("dann"), 1, 1)])
    health = watched(trainer)
    assert json.loads(json.dumps(health.entries, allow_nan=False)) == health.entries
    quiet, adversarial = health.entries[-2:]
    assert quiet["method"] == "source-only"
    assert quiet["domain_gradient"] == 0
    assert quiet["angle"] is None
    assert set(FIGURES) <= set(adversarial)
    assert adversarial["push"] > 0
    assert 0.5 < adversarial["own_auc"] <= 1
    assert adversarial["label_auc"] > 0.8
    assert adversarial["dead_layers"].keys() == {
        "extractor.activation.0", "extractor.activation.1", "label_head.1", "domain_head.1",
        "domain_head.3",
    }  # fmt: skip


def test_the_domain_gradient_grows_with_lambda(stack):
    trainer = stack([Member(methods.get("dann"), 1.0, 0)])
    probe = probe_of(trainer.slots, classes=2)
    half, whole = (
        examine(
            trainer.network,
            trainer.stack.phases,
            probe,
            AdversaryWeight(torch.tensor([factor]), 1.0),
        )[0]
        for factor in (0.5, 1.0)
    )
    assert whole["domain_gradient"] == pytest.approx(2 * half["domain_gradient"], rel=1e-3)
    assert whole["label_gradient"] == pytest.approx(half["label_gradient"], rel=1e-6)
    assert whole["effect"] == pytest.approx(2 * half["effect"], rel=1e-3)


def test_a_resumed_training_has_seen_what_an_uninterrupted_one_has(stack, tmp_path):
    members, notes = [Member(methods.get("dann"), 1.0, 0)], tmp_path / "notes.json"
    whole = watched(stack(members)).entries
    checkpoint = tmp_path / "stack.safetensors"
    for end in (3, 4):
        trainer = stack(members)
        health = Health(trainer, notes)
        load_checkpoint(trainer, checkpoint, "x")
        health.remember()

        def save(now, health=health):
            health.look()
            save_checkpoint(now, checkpoint, "x")

        trainer.run(save=save, stop=lambda t=trainer, end=end: t.epoch == end)
    assert health.entries == whole
    assert len(whole) == 2
    notes.write_text("{")
    health.remember()
    assert health.entries == []


def test_a_training_that_stops_early_is_looked_at_where_it_stops(events):
    settings = Settings(epochs=50, batch_size=64, steps=5, patience=1, learning_rate=0.05)
    member = Member(methods.get("dann"), 1.0, 0)
    trainer = StackTrainer([member], NetworkShape(5, 2), *events, settings)
    health = watched(trainer)
    assert trainer.finished
    assert trainer.epoch < 50
    assert health.entries[-1]["epoch"] == trainer.epoch


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 20, 1000])
def test_the_last_epoch_is_always_looked_at(epochs):
    looks = health_epochs(Settings(epochs=epochs, batch_size=100, steps=100))
    assert looks[-1] == epochs
    assert sorted(set(looks)) == list(looks)
    assert looks[0] >= 1
    assert len(looks) <= 8


def test_auc_counts_weights_and_ties():
    rng = np.random.default_rng(0)
    score = torch.from_numpy(rng.integers(0, 9, (2, 300)).astype(np.float32))
    weight = torch.from_numpy(rng.random((2, 300)))
    found = weighted_auc(score[:, :100], score[:, 100:], weight[:, :100], weight[:, 100:])
    label = np.repeat([0, 1], [100, 200])
    for k in range(2):
        expected = roc_auc_score(label, score[k], sample_weight=weight[k])
        assert float(found[k]) == pytest.approx(expected, abs=1e-12)


def test_a_fresh_classifier_sees_what_is_there_and_nothing_else():
    rng = np.random.default_rng(1)
    ring = rng.normal(size=(2, 4, 2000)).astype(np.float32)
    outer = np.arange(2000) >= 1000
    ring[0][:, outer] *= 2.5  # the same mean: nothing linear can tell them apart
    x, second = torch.from_numpy(ring), torch.from_numpy(outer).expand(2, -1)
    held, fit = x[..., ::2], x[..., 1::2]
    score = discriminant_scores(fit, second[:, 1::2], torch.ones(2, 1000), held)
    ones = torch.ones(2, 500)
    there, nothing = weighted_auc(score[:, :500], score[:, 500:], ones, ones).tolist()
    assert there > 0.9
    assert nothing == pytest.approx(0.5, abs=0.06)
    flat = discriminant_scores(fit * 0 + 3, second[:, 1::2], torch.ones(2, 1000), held * 0 + 3)
    assert weighted_auc(flat[:, :500], flat[:, 500:], ones, ones).tolist() == [0.5, 0.5]


def test_a_fresh_classifier_of_many_columns_is_that_of_few(monkeypatch):
    """Images have more pixels than a look has events: the same regression, from the other side."""
    generator = torch.Generator().manual_seed(1)
    x, held = (torch.randn(2, 12, 400, generator=generator, dtype=torch.float64) for _ in range(2))
    second = x[:, 0] + 0.5 * torch.randn(2, 400, generator=generator) > 0
    weight = torch.rand(2, 400, generator=generator, dtype=torch.float64)
    few = probes.discriminant_scores(x, second, weight, held)
    with threads(2):  # an LU decomposition of these matrices did not end then
        two = probes.discriminant_scores(x, second, weight, held)
    assert torch.allclose(two, few, atol=1e-8)
    monkeypatch.setattr(probes, "_WIDE", 0)
    assert torch.allclose(probes.discriminant_scores(x, second, weight, held), few, atol=1e-8)
