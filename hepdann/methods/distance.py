"""A step that brings the domains' features together by a distance between them, no adversary."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..networks import AdversarialNetwork
from .base import AdversaryWeight, Batch, Objective, Phase
from .losses import domain_loss, label_loss

Distance = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Of features x and y (K, H, n) with weights (K, n) of mean 1: one value a member, (K,)."""


def distance_phases(distance: Distance) -> tuple[Phase, ...]:
    """One update of ``L_y + λ·λ_p·w_d·distance``, at the feature layer.

    The distance is that of the target to each labelled domain, averaged. Event weights are divided
    by their mean over the training split, not by the batch's own sum, which negative weights can
    bring near zero. The domain head only watches: it learns, and nothing of it reaches the
    features.

    Args:
        distance: between two weighted samples; 0 for equal ones.
    """

    def objective(
        network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight
    ) -> Objective:
        features = network.features(batch.x, weight=batch.weight_sizes)
        label = label_loss(network, features[..., : batch.labelled], batch)
        apart = between_domains(distance, features, batch)
        nothing = torch.zeros_like(adversary.lambda_)
        watched, recognised = domain_loss(network, features.detach(), batch, nothing)
        figures = {
            "label_loss": label.detach(),
            "domain_loss": watched.detach(),
            "domain_accuracy": recognised,
        }
        return Objective(
            label + adversary.domain_weight * (adversary.lambda_ * apart + watched), figures
        )

    return (Phase(("extractor", "label_head", "domain_head"), objective),)


def between_domains(distance: Distance, features: Tensor, batch: Batch) -> Tensor:
    """(K,) mean distance of the target to the labelled domains, of features (K, H, D * B)."""
    *labelled, target = features.chunk(batch.domains, dim=-1)
    weight = batch.weight
    apart = [distance(x, target, weight[:, d], weight[:, -1]) for d, x in enumerate(labelled)]
    return torch.stack(apart).mean(0)
