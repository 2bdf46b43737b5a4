"""The alternating algorithm of the original ALEPH study."""

from __future__ import annotations

import torch

from ..networks import AdversarialNetwork
from .base import AdversaryWeight, Batch, Method, Objective, Phase
from .losses import domain_loss, label_loss


def _label_objective(
    network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight
) -> Objective:
    del adversary
    label = label_loss(
        network, network.features(batch.x, weight=batch.weight_sizes)[..., : batch.labelled], batch
    )
    return Objective(label, {"label_loss": label.detach()})


def _domain_objective(
    network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight
) -> Objective:
    """``λ·λ_p·w_d·L_d``, its gradient at the features reversed in full.

    With an optimiser of its own, clipped and scaled by Adam, λ does almost nothing here; it is
    kept as the study has it. In ``dann`` λ means something.
    """
    features = network.features(batch.x, weight=batch.weight_sizes)
    domain, recognised = domain_loss(network, features, batch, torch.ones_like(adversary.lambda_))
    figures = {"domain_loss": domain.detach(), "domain_accuracy": recognised}
    return Objective(adversary.lambda_ * adversary.domain_weight * domain, figures)


DANN_ALTERNATING = Method(
    name="dann-alternating",
    summary="the study's own algorithm: two optimisers in turn, on L_y and on lambda L_d",
    phases=(
        Phase(("extractor", "label_head"), _label_objective),
        Phase(("extractor", "domain_head"), _domain_objective),
    ),
    adversarial=True,
    normalisation="none",
)
