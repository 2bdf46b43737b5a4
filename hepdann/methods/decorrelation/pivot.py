"""A classifier whose score does not know a nuisance: an adversary estimates it from the score.

Louppe, Kagan & Cranmer, "Learning to Pivot with Adversarial Networks", arXiv:1611.01046.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from ...networks import GAUSSIANS, AdversarialNetwork
from ..base import AdversaryWeight, Batch, Method, Objective, Phase
from ..losses import domain_loss, label_loss

_NARROWEST = 5.0  # |logarithm of the width| of a Gaussian, in standard deviations of the nuisance


def nuisance_loss(
    network: AdversarialNetwork, logits: Tensor, batch: Batch, lambda_: Tensor
) -> Tensor:
    """``-Σ w ln p(z | score) / n``, summed over the nuisances z: L_r of the paper.

    Of a continuous z, in units of its standard deviation, p is a mixture of five Gaussians; of a
    categorical one a probability for each value.

    Args:
        network: gives the adversary.
        logits: (K, outputs, n) of the label head for the labelled events.
        batch: nuisances and their weights.
        lambda_: (K,) factor on the gradient that reaches the logits, reversed.

    Returns:
        (K,) one loss a member.
    """
    assert batch.nuisance is not None
    weight, values = batch.nuisance[:, 0], batch.nuisance[:, 1:]
    outputs = network.nuisance_outputs(logits, lambda_.view(-1, 1, 1))
    losses = []
    for width, output, z in zip(network.shape.nuisances, outputs, values.unbind(1), strict=True):
        if width:
            losses.append(functional.cross_entropy(output, z.long(), reduction="none"))
            continue
        share, mean, log_width = torch.split(output, GAUSSIANS, dim=1)
        log_width = _NARROWEST * torch.tanh(log_width / _NARROWEST)
        pull = (z.unsqueeze(1) - mean) * torch.exp(-log_width)
        density = functional.log_softmax(share, dim=1) - log_width - 0.5 * pull.square()
        losses.append(0.5 * math.log(2 * math.pi) - torch.logsumexp(density, dim=1))
    return (torch.stack(losses).sum(0) * weight).sum(-1) / batch.labelled


def _labelled(network: AdversarialNetwork, batch: Batch) -> Tensor:
    """Feature layer of the labelled events; the target is not looked at."""
    return network.features(batch.x[..., : batch.labelled], batch.domains - 1)


def _factor(adversary: AdversaryWeight) -> Tensor:
    return adversary.lambda_ * adversary.nuisance_weight


def _objective(network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight) -> Objective:
    """``L_y + L_r``, the gradient of L_r reversed at the score, times λ·λ_p·nuisance_weight."""
    features = _labelled(network, batch)
    label = label_loss(network, features, batch)
    if batch.nuisance is None:
        return Objective(label, {"label_loss": label.detach()})
    guess = nuisance_loss(network, network.label_logits(features), batch, _factor(adversary))
    figures = {"label_loss": label.detach(), "nuisance_loss": guess.detach()}
    return Objective(label + guess, figures)


def _with_domains(
    network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight
) -> Objective:
    """Likewise with the domain loss of ``dann``: two adversaries."""
    features = network.features(batch.x)
    labelled = features[..., : batch.labelled]
    label = label_loss(network, labelled, batch)
    domain, recognised = domain_loss(network, features, batch, adversary.lambda_)
    value = label + adversary.domain_weight * domain
    figures = {
        "label_loss": label.detach(),
        "domain_loss": domain.detach(),
        "domain_accuracy": recognised,
    }
    if batch.nuisance is not None:
        guess = nuisance_loss(network, network.label_logits(labelled), batch, _factor(adversary))
        value, figures["nuisance_loss"] = value + guess, guess.detach()
    return Objective(value, figures)


def _adversary(network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight) -> Objective:
    """``L_r`` of the adversary alone."""
    with torch.no_grad():
        features = _labelled(network, batch)
        label = label_loss(network, features, batch)
        logits = network.label_logits(features)
    if batch.nuisance is None:
        return Objective(torch.zeros_like(label, requires_grad=True), {"label_loss": label})
    guess = nuisance_loss(network, logits, batch, _factor(adversary))
    return Objective(guess, {"label_loss": label, "nuisance_loss": guess.detach()})


def _classifier(network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight) -> Objective:
    """``L_y - λ·λ_p·nuisance_weight·L_r`` of the classifier, against the adversary as it is."""
    features = _labelled(network, batch)
    label = label_loss(network, features, batch)
    if batch.nuisance is None:
        return Objective(label, {"label_loss": label.detach()})
    forward = -torch.ones_like(adversary.lambda_)  # not reversed: the sign stands below
    guess = nuisance_loss(network, network.label_logits(features), batch, forward)
    figures = {"label_loss": label.detach(), "nuisance_loss": guess.detach()}
    return Objective(label - _factor(adversary) * guess, figures)


PIVOT = Method(
    name="pivot",
    summary="its score tells an adversary nothing of a nuisance (Louppe et al. 2016), reversed",
    phases=(Phase(("extractor", "label_head", "nuisance_head"), _objective),),
    adversarial=True,
    target_domain=0,
    decorrelates=True,
    nuisance_head=True,
)

PIVOT_ALTERNATING = replace(
    PIVOT,
    name="pivot-alternating",
    summary="pivot as its paper has it: steps of the adversary, then one of the classifier",
    phases=(
        Phase(("nuisance_head",), _adversary),
        Phase(("extractor", "label_head"), _classifier, rare=True),
    ),
)

DANN_PIVOT = replace(
    PIVOT,
    name="dann-pivot",
    summary="dann and pivot in one: neither the domain nor a nuisance can be told",
    phases=(Phase(("extractor", "label_head", "domain_head", "nuisance_head"), _with_domains),),
    target_domain=1,
)
