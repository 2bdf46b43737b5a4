"""The label and the domain loss of a stack, weighted event by event."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..networks import AdversarialNetwork
from .base import Batch

__all__ = ["domain_loss", "label_loss"]


def label_loss(network: AdversarialNetwork, features: Tensor, batch: Batch) -> Tensor:
    """Cross entropy of the source events, ``Σ w ℓ / (B · mean|w|)``.

    Args:
        network: gives the label head.
        features: (K, H, B) feature layer of the source events.
        batch: labels and weights.

    Returns:
        (K,) one loss a member.
    """
    logits = network.label_logits(features)
    if network.shape.classes == 2:
        loss = functional.binary_cross_entropy_with_logits(
            logits[:, 0], batch.label.to(logits.dtype), reduction="none"
        )
    else:
        loss = functional.cross_entropy(logits, batch.label, reduction="none")
    return (loss * batch.weight[:, 0]).sum(-1) / batch.size


def domain_loss(
    network: AdversarialNetwork, features: Tensor, batch: Batch, reversal: Tensor
) -> tuple[Tensor, Tensor]:
    """``½ (L_d^source + L_d^target)``, source 0 and target 1, behind the reversal layer.

    Args:
        network: gives the domain head.
        features: (K, H, 2B) feature layer, source then target.
        batch: weights.
        reversal: (K,) factor on the gradient that enters the features.

    Returns:
        (K,) one loss a member, and (K,) the share of events whose domain is recognised.
    """
    logits = network.domain_logits(features, reversal.view(-1, 1, 1)).view(-1, 2, batch.size)
    is_target = torch.tensor([[0.0], [1.0]], dtype=logits.dtype, device=logits.device)
    loss = functional.binary_cross_entropy_with_logits(
        logits, is_target.expand_as(logits), reduction="none"
    )
    value = 0.5 * (loss * batch.weight).sum((-2, -1)) / batch.size
    recognised = ((logits.detach() > 0) == (is_target > 0.5)).to(logits.dtype).mean((-2, -1))
    return value, recognised
