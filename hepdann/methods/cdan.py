"""Conditional adversarial networks: the domain head knows what class each event looks like."""

from __future__ import annotations

import torch
from torch import Tensor

from ..networks import AdversarialNetwork
from .base import AdversaryWeight, Batch, Method, Objective, Phase
from .dann import DANN
from .losses import domain_loss, label_loss


def _objective(network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight) -> Objective:
    """As ``dann``, with certain events weighing more in the domain loss."""
    features = network.features(batch.x, weight=batch.weight_sizes)
    label = label_loss(network, features[..., : batch.labelled], batch)
    emphasis = _certainty(network, features.detach(), batch)
    domain, recognised = domain_loss(network, features, batch, adversary.lambda_, emphasis)
    figures = {
        "label_loss": label.detach(),
        "domain_loss": domain.detach(),
        "domain_accuracy": recognised,
    }
    return Objective(label + adversary.domain_weight * domain, figures)


def _certainty(network: AdversarialNetwork, features: Tensor, batch: Batch) -> Tensor:
    """(K, D, B) weights ``1 + exp(-H)`` of the predictions' entropy H, mean 1 in each domain.

    Long et al. (2018), section 3.3. They pass no gradient on.
    """
    entropy = torch.special.entr(network.scores(features)).sum(-1)
    certain = (1 + torch.exp(-entropy)).view(-1, batch.domains, batch.size)
    return certain / certain.mean(-1, keepdim=True)


CDAN = Method(
    name="cdan",
    summary="dann whose domain head sees features times class probabilities (Long et al. 2018)",
    phases=DANN.phases,
    adversarial=True,
    conditioned=True,
)

CDAN_ENTROPY = Method(
    name="cdan-entropy",
    summary="cdan whose domain loss weighs certain events more (CDAN+E, Long et al. 2018)",
    phases=(Phase(("extractor", "label_head", "domain_head"), _objective),),
    adversarial=True,
    conditioned=True,
)
