"""The label and the domain loss of a stack, weighted event by event."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from ..networks import AdversarialNetwork
from .base import Batch

__all__ = ["domain_loss", "label_loss"]


def label_loss(network: AdversarialNetwork, features: Tensor, batch: Batch) -> Tensor:
    """Cross entropy of the labelled events, ``Σ w ℓ / (B · mean|w|)``, mean over their domains.

    Args:
        network: gives the label head.
        features: (K, H, (D - 1) * B) feature layer of the labelled domains.
        batch: labels and weights.

    Returns:
        (K,) one loss a member.
    """
    logits = network.label_logits(features)
    label, weight = batch.label.flatten(1), batch.weight[:, :-1].flatten(1)
    if network.shape.classes == 2:
        loss = functional.binary_cross_entropy_with_logits(
            logits[:, 0], label.to(logits.dtype), reduction="none"
        )
    else:
        loss = functional.cross_entropy(logits, label, reduction="none")
    return (loss * weight).sum(-1) / batch.labelled


def domain_loss(
    network: AdversarialNetwork, features: Tensor, batch: Batch, reversal: Tensor
) -> tuple[Tensor, Tensor]:
    """``½ (L_d^source + L_d^target)``, source 0 and target 1, behind the reversal layer.

    Labelled copies of the source are source here: all labelled domains together weigh ½.

    Args:
        network: gives the domain head.
        features: (K, H, D * B) feature layer, domain after domain.
        batch: weights.
        reversal: (K,) factor on the gradient that enters the features.

    Returns:
        (K,) one loss a member, and (K,) the share of events whose domain is recognised.
    """
    copies, size = batch.domains - 1, batch.size
    logits = network.domain_logits(features, reversal.view(-1, 1, 1)).view(-1, copies + 1, size)
    is_target = logits.new_tensor([[0.0]] * copies + [[1.0]])
    share = logits.new_tensor([[0.5 / copies]] * copies + [[0.5]])
    loss = functional.binary_cross_entropy_with_logits(
        logits, is_target.expand_as(logits), batch.weight * share, reduction="none"
    )
    hit = ((logits.detach() > 0) == (is_target > 0.5)).to(logits.dtype) * share
    return loss.sum((-2, -1)) / size, hit.sum((-2, -1)) / size
