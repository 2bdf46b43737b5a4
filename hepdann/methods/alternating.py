"""The algorithms of the original study: alternating, joint and hybrid.

Hybrid: MC, copies of it under other shifts, and the unlabelled target. Zhao et al., "Adversarial
Multiple Source Domain Adaptation" (2018), with one domain head for all, which tells labelled events
from target (binary), or each domain from every other.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ..networks import AdversarialNetwork
from .base import AdversaryWeight, Batch, Method, Objective, Phase, domain_loss, label_loss
from .dann import DANN


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

HYBRID_DANN = replace(
    DANN,
    name="hybrid-dann",
    summary="dann with labelled copies of the MC under other shifts, each normalised by itself",
    auxiliary=True,
)
HYBRID_ALTERNATING = replace(
    DANN_ALTERNATING,
    name="hybrid-alternating",
    summary="dann-alternating with labelled copies of the MC under other shifts",
    auxiliary=True,
)
