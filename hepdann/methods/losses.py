"""The label and the domain loss of a stack, weighted event by event."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from ..networks import AdversarialNetwork
from .base import Batch


def label_loss(network: AdversarialNetwork, features: Tensor, batch: Batch) -> Tensor:
    """Cross entropy of the labelled events, ``Σ w ℓ / (B · mean w)``, mean over their domains.

    With one class it is a regression, and ℓ the squared error.

    Args:
        network: gives the label head.
        features: (K, H, (D - 1) * B) feature layer of the labelled domains.
        batch: labels and weights.

    Returns:
        (K,) one loss a member.
    """
    logits = network.label_logits(features)
    label, weight = batch.label.flatten(1), batch.weight[:, :-1].flatten(1)
    if network.shape.classes == 1:
        loss = (logits[:, 0] - label).square()
    elif network.shape.classes == 2:
        loss = functional.binary_cross_entropy_with_logits(
            logits[:, 0], label.to(logits.dtype), reduction="none"
        )
    else:
        loss = functional.cross_entropy(logits, label, reduction="none")
    return (loss * weight).sum(-1) / batch.labelled


def domain_loss(
    network: AdversarialNetwork,
    features: Tensor,
    batch: Batch,
    lambda_: Tensor,
    emphasis: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``½ (L_d^source + L_d^target)``, source 0 and target 1, behind the reversal layer.

    Labelled copies of the source are source here: all labelled domains together weigh ½. Where the
    domain head has a class for each of the D domains it is their mean cross entropy.

    Args:
        network: gives the domain head.
        features: (K, H, D * B) feature layer, domain after domain.
        batch: weights.
        lambda_: (K,) factor on the gradient that enters the features.
        emphasis: (K, D, B) factors on the event weights.

    Returns:
        (K,) one loss a member, and (K,) the share of events whose domain is recognised.
    """
    weight = batch.weight if emphasis is None else batch.weight * emphasis
    logits = network.domain_logits(features, lambda_.view(-1, 1, 1))
    if logits.dim() == 3:
        return _one_class_a_domain(logits, weight)
    copies, size = batch.domains - 1, batch.size
    logits = logits.view(-1, copies + 1, size)
    is_target, share = _roles(copies, logits.dtype, logits.device)
    loss = functional.binary_cross_entropy_with_logits(
        logits, is_target.expand_as(logits), weight * share, reduction="none"
    )
    hit = ((logits.detach() > 0) == (is_target > 0.5)).to(logits.dtype) * share
    return loss.sum((-2, -1)) / size, hit.sum((-2, -1)) / size


@cache
def _roles(copies: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """(D, 1) which domain is the target, and each domain's share of the loss.

    Kept: a step that took them from the host anew would wait for the device.
    """
    is_target = torch.tensor([[0.0]] * copies + [[1.0]], dtype=dtype, device=device)
    share = torch.tensor([[0.5 / copies]] * copies + [[0.5]], dtype=dtype, device=device)
    return is_target, share


def _one_class_a_domain(logits: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross entropy of (K, D, D * B) logits, and the share of domains that are recognised."""
    _, domains, size = weight.shape
    domain = torch.arange(domains, device=logits.device).repeat_interleave(size)
    domain = domain.expand(len(logits), -1)
    loss = functional.cross_entropy(logits, domain, reduction="none") * weight.flatten(1)
    hit = (logits.detach().argmax(1) == domain).to(logits.dtype)
    return loss.mean(-1), hit.mean(-1)
