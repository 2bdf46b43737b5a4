"""Trainings with a fault that was put there, each by a real mistake; and the name it must get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hepdann import methods
from hepdann.methods import AdversaryWeight, Batch, Method, Objective, Phase
from hepdann.methods.base import domain_loss, label_loss
from hepdann.networks import AdversarialNetwork
from hepdann.training import Member, StackTrainer

_ALL = ("extractor", "label_head", "domain_head")


@dataclass(frozen=True)
class Plant:
    """A fault and the mistake that brings it about.

    Attributes:
        name: what went wrong.
        fault: the verdict that is due.
        member: that trains.
        do: what is done to the stack before the training.
    """

    name: str
    fault: str
    member: Member
    do: Callable[[StackTrainer], object] = id  # nothing


def _detached(network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight) -> Objective:
    """The domain head learns from detached features: its gradient never reaches them."""
    features = network.features(batch.x)
    return _sum(network, features, features.detach(), batch, adversary, adversary.lambda_)


def _unreversed(network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight) -> Objective:
    """The sign of the reversal is wrong: the features help the domain head."""
    features = network.features(batch.x)
    return _sum(network, features, features, batch, adversary, -adversary.lambda_)


def _sum(
    network: AdversarialNetwork,
    features: Tensor,
    seen_by_domain: Tensor,
    batch: Batch,
    adversary: AdversaryWeight,
    lambda_: Tensor,
) -> Objective:
    label = label_loss(network, features[..., : batch.labelled], batch)
    domain, recognised = domain_loss(network, seen_by_domain, batch, lambda_)
    seen = {
        "label_loss": label.detach(),
        "domain_loss": domain.detach(),
        "domain_accuracy": recognised,
    }
    return Objective(label + adversary.domain_weight * domain, seen)


def _frozen(part: str) -> Callable[[StackTrainer], None]:
    """The gradient of a part is thrown away before the optimiser sees it."""

    def do(trainer: StackTrainer) -> None:
        clip = trainer.parts[part].clip

        def forget(largest: float) -> Tensor:
            norm = clip(largest)
            trainer.parts[part].gradient.zero_()
            return norm

        trainer.settings = replace(trainer.settings, engine="torch")
        trainer.parts[part].clip = forget  # type: ignore[method-assign]

    return do


def _dead_biases(part: str) -> Callable[[StackTrainer], None]:
    def do(trainer: StackTrainer) -> None:
        first = next(iter(trainer.network.get_submodule(part).children()))
        with torch.no_grad():
            next(p for name, p in first.named_parameters() if name == "bias").fill_(-1e3)

    return do


def _nothing(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    return output * 0


def _zero_features(trainer: StackTrainer) -> None:
    trainer.network.extractor.register_forward_hook(_nothing)


def _nan_weight(trainer: StackTrainer) -> None:
    with torch.no_grad():
        trainer.network.part("label_head")[0].view(-1)[0] = float("nan")


def _method(name: str, objective: Callable[..., Objective]) -> Method:
    return Method(name, "planted", (Phase(_ALL, objective),), adversarial=True)


def plants() -> list[Plant]:
    """Every planted fault."""
    dann = methods.get("dann")
    detached, unreversed = _method("detached", _detached), _method("unreversed", _unreversed)
    return [
        Plant("features detached", "dead-adversary", Member(detached, 1.0, 0)),
        Plant("domain head of dead units", "dead-adversary", Member(dann, 1.0, 0),
              _dead_biases("domain_head")),
        Plant("gradient not reversed", "adversary-not-reversed", Member(unreversed, 1.0, 0)),
        Plant("lambda = 10,000", "exploded-adversary", Member(dann, 1e4, 0)),
        Plant("domain head frozen", "discriminator-never-learns", Member(dann, 1.0, 0),
              _frozen("domain_head")),
        Plant("domain head frozen, lambda = 0.3", "discriminator-never-learns",
              Member(dann, 0.3, 1), _frozen("domain_head")),
        Plant("lambda = 0.000001", "no-effect-of-lambda", Member(dann, 1e-6, 0)),
        Plant("features times zero", "collapsed-features", Member(dann, 1.0, 0), _zero_features),
        Plant("label head of dead units", "label-head-not-learning", Member(dann, 1.0, 0),
              _dead_biases("label_head")),
        Plant("hidden units of dead biases", "dead-units", Member(dann, 1.0, 0),
              _dead_biases("domain_head")),
        Plant("a weight is NaN", "not-finite", Member(dann, 1.0, 0), _nan_weight),
    ]  # fmt: skip
