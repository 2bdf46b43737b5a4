"""Members that are ordinary modules train as those of a stack do."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from hepdann import methods, networks
from hepdann.networks import NetworkShape
from hepdann.training import Member, StackTrainer, load_checkpoint, save_checkpoint

DANN = methods.get("dann")


def perceptron(shape):
    """The stack's own network in plain torch, per-domain batch normalisation included."""
    layers, width = [], shape.inputs
    for wider in shape.extractor:
        layers += [nn.Linear(width, wider, bias=False), nn.BatchNorm1d(wider), nn.ReLU()]
        width = wider
    return nn.Sequential(*layers)


def dropping(shape):
    return nn.Sequential(nn.Linear(shape.inputs, 6), nn.Tanh(), nn.Dropout(0.3))


networks.register("perceptron", perceptron)
networks.register("dropping", dropping)


def test_a_plain_module_trains_as_the_stacked_perceptron_of_the_same_weights(domains, settings):
    """100 steps, per-domain normalisation; they agree to 1e-9 in float64, the bound is 1e-6."""
    _, _, _, sources, targets = domains()
    members = [Member(DANN, 1.0, 3), Member(methods.get("source-only"), 0.3, 8)]
    trainers = [
        StackTrainer(
            members,
            NetworkShape(4, 2, (10, 8), (6,), (7,), network=network),
            sources,
            targets,
            settings(epochs=10, optimiser="adamw", weight_decay=0.01),
        )
        for network in ("", "perceptron")
    ]
    stacked, plain = (trainer.network for trainer in trainers)
    values = dict(zip(plain.extractor._names, plain.extractor.values, strict=True))
    with torch.no_grad():
        for i, (linear, norm) in enumerate(
            zip(stacked.extractor.linear, stacked.extractor.norm, strict=True)
        ):
            values[f"{3 * i}.weight"].copy_(linear.weight)
            values[f"{3 * i + 1}.weight"].copy_(norm.weight.squeeze(-1))
        for head in ("label_head", "domain_head"):
            for mine, theirs in zip(plain.part(head), stacked.part(head), strict=True):
                mine.copy_(theirs)
        for part in trainers[1].parts.values():
            part.average.copy_(part.value)
    for trainer in trainers:
        trainer.run()
    for i, linear in enumerate(stacked.extractor.linear):
        assert (values[f"{3 * i}.weight"] - linear.weight).abs().max() < 1e-9
    for head in ("label_head", "domain_head"):
        for mine, theirs in zip(plain.part(head), stacked.part(head), strict=True):
            assert (mine - theirs).abs().max() < 1e-9
    for mine, theirs in zip(*(trainer.history for trainer in trainers), strict=True):
        for figure in ("loss_label", "loss_domain", "domain_accuracy"):
            assert mine[figure] == pytest.approx(theirs[figure], abs=1e-9)
        # prediction: torch keeps the unbiased variance of the statistics' events
        assert mine["validation_loss"] == pytest.approx(theirs["validation_loss"], rel=1e-3)


def test_alone_stopped_and_resumed_they_are_what_they_are(domains, settings, tmp_path):
    _, _, _, sources, targets = domains()
    members = [Member(DANN, 1.0, 3, learning_rate=0.1), Member(DANN, 0.3, 8), Member(DANN, 0.0, 9)]
    shape = NetworkShape(4, 2, domain_head=(7,), network="dropping")

    def trainer(members=members):
        options = settings(epochs=8, patience=2, optimiser="sgd")
        return StackTrainer(members, shape, sources, targets, options)

    whole, alone = trainer(), trainer(members[1:2])
    whole.run()
    alone.run()
    for mine, theirs in zip(whole.network.parameters(), alone.network.parameters(), strict=True):
        assert (mine[1] - theirs[0]).abs().max() < 1e-12
    path, left = tmp_path / "stack.safetensors", iter(range(33))
    first = trainer()
    first.run(save=lambda t: save_checkpoint(t, path, "x"), stop=lambda: next(left, None) is None)
    second = trainer()
    assert load_checkpoint(second, path, "x")
    second.run()
    assert json.dumps(second.history) == json.dumps(whole.history)
    for mine, theirs in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
