"""The single-step variant of the original ALEPH study."""

from __future__ import annotations

import torch

from ..networks import AdversarialNetwork
from .base import AdversaryWeight, Batch, Method, Objective, Phase
from .losses import domain_loss, label_loss


def _objective(network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight) -> Objective:
    """``L_y + λ·λ_p·w_d·L_d``; only the labelled events' features feel the reversed gradient.

    λ is on the loss: the domain head learns with it too, and not at all for λ = 0. In ``dann`` it
    is on the reversed gradient alone.
    """
    features = network.features(batch.x, weight=batch.weight_sizes)
    labelled, target = features[..., : batch.labelled], features[..., batch.labelled :]
    label = label_loss(network, labelled, batch)
    head_input = torch.cat([labelled, target.detach()], dim=-1)
    domain, recognised = domain_loss(network, head_input, batch, torch.ones_like(adversary.lambda_))
    figures = {
        "label_loss": label.detach(),
        "domain_loss": domain.detach(),
        "domain_accuracy": recognised,
    }
    return Objective(label + adversary.lambda_ * adversary.domain_weight * domain, figures)


DANN_JOINT = Method(
    name="dann-joint",
    summary="the study's single-step variant: L_y + lambda L_d, no gradient through the target",
    phases=(Phase(("extractor", "label_head", "domain_head"), _objective),),
    adversarial=True,
    normalisation="none",
)
