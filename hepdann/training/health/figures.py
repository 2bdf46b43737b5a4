"""The figures of a stack in training by which its faults are found.

They change no weight, no optimiser and no random state: a training with these checks and one
without them end in the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...methods import AdversaryWeight, Batch, Phase
from ...networks import AdversarialNetwork
from .gradients import (
    Activations,
    gradients,
    own_figures,
    preserved_state,
    record_activations,
    trains_head,
)
from .probes import Probe, auc_error, discriminant_scores, label_auc, weighted_auc

_GRADIENT_EVENTS = 256

FIGURES = {
    "own_auc": "AUC of the member's own domain head on held-out events; empty if it trains none",
    "own_accuracy": "share of held-out events whose domain the own head recognises, mean of both",
    "own_loss": "loss of the own domain head over ln 2, which is that of knowing nothing",
    "fresh_auc": "AUC that a fresh classifier reaches on the frozen features",
    "auc_error": "statistical error of an AUC of one half on these events",
    "label_gradient": "norm of the gradient of the label loss at the features",
    "domain_gradient": "norm of what the adversary adds to it there, times λ·λ_p",
    "angle": "between the two, on the source's events, in degrees",
    "push": "rise of the own head's loss when the features follow that gradient by 1 %; empty "
    "where no gradient comes back from the head",
    "effect": "norm of what λ adds to the gradient of the extractor's weights, over that without",
    "dead_units": "share of hidden units that no event moves, in the worst layer",
    "feature_spread": "largest standard deviation of a feature-layer unit, over the layer's size",
    "feature_rank": "effective number of directions in the feature layer",
    "label_auc": "AUC of the label head on held-out source events",
    "label_reach": "AUC that a fresh classifier of the inputs reaches there",
    "domain_moved": "how far the domain head's weights are from where they started, relative",
    "not_finite": "share of weights and figures that are not finite",
}


def examine(
    network: AdversarialNetwork,
    phases: Sequence[Phase],
    probe: Probe,
    adversary: AdversaryWeight,
    start: Tensor | None = None,
) -> list[dict[str, Any]]:
    """The figures of each member as it is now, by its weights in training.

    Args:
        network: of the stack.
        phases: of its method.
        probe: of :func:`probe_of`.
        adversary: λ·λ_p and w_d of this moment.
        start: (K, P) weights of the domain heads before the first step, of :func:`head_weights`.

    Returns:
        One dictionary a member: the keys of :data:`FIGURES`, NaN where there is no such figure,
        and ``dead_layers``, the share of dead units of each layer.
    """
    with preserved_state(network):
        activations = _seen(network, phases, probe.held, adversary)
        figures = _domain_figures(network, phases, probe, activations)
        figures |= gradients(network, phases, _first(probe.held, _GRADIENT_EVENTS), adversary)
        figures |= _feature_figures(network.of_events(activations.features))
        with torch.no_grad():
            logits = network.label_logits(activations.features[..., : probe.held.size])
        known = torch.isfinite(probe.reach).any()
        figures["label_auc"] = label_auc(logits if known else None, probe.held)
        figures["label_reach"] = probe.reach
        figures["domain_moved"] = _moved(network, start)
        dead = activations.dead()
        figures["dead_units"] = torch.stack([*dead.values(), torch.zeros(network.members)]).amax(0)
        figures["not_finite"] = _not_finite(network, activations.features)
    members = range(network.members)
    columns = {name: figures[name].cpu().double().tolist() for name in FIGURES}
    layers = {name: share.tolist() for name, share in dead.items()}
    return [
        {name: column[k] for name, column in columns.items()}
        | {"dead_layers": {name: share[k] for name, share in layers.items()}}
        for k in members
    ]


def head_weights(network: AdversarialNetwork) -> Tensor:
    """(K, P) a copy of the weights of the domain heads."""
    parts = [p.detach().reshape(network.members, -1) for p in network.part("domain_head")]
    return torch.cat(parts, dim=1)


@torch.no_grad()
def _seen(
    network: AdversarialNetwork, phases: Sequence[Phase], batch: Batch, adversary: AdversaryWeight
) -> Activations:
    activations = Activations()
    with record_activations(network, activations, units=True):
        for phase in phases:
            phase.objective(network, batch, adversary)
    return activations


@torch.no_grad()
def _domain_figures(
    network: AdversarialNetwork, phases: Sequence[Phase], probe: Probe, activations: Activations
) -> dict[str, Tensor]:
    """How well the own domain head and a fresh classifier tell source from target."""
    held, n, m = probe.held, probe.fit.size, probe.held.size
    w_source, w_target = held.weight[:, 0], held.weight[:, -1]

    def ends(x: Tensor, size: int) -> Tensor:
        return torch.cat([x[..., :size], x[..., -size:]], dim=-1)

    fit = network.of_events(network.features(probe.fit.x, weight=probe.fit.weight_sizes))
    is_target = torch.cat([torch.zeros(n), torch.ones(n)]).to(fit).expand(len(fit), -1)
    weight = torch.cat([probe.fit.weight[:, 0], probe.fit.weight[:, -1]], dim=-1)
    features = network.of_events(activations.features)
    scores = discriminant_scores(ends(fit, n), is_target, weight, ends(features, m))
    figures = {
        "fresh_auc": weighted_auc(scores[:, :m], scores[:, m:], w_source, w_target),
        "auc_error": auc_error(w_source, w_target),
    }
    names = ("own_auc", "own_accuracy", "own_loss")
    if not trains_head(phases) or not activations.domain:
        return figures | dict.fromkeys(names, torch.full_like(figures["fresh_auc"], math.nan))
    return figures | own_figures(activations.domain[-1], held)


def _first(batch: Batch, most: int) -> Batch:
    """The first events of each domain."""
    size = min(most, batch.size)
    x = batch.x.view(*batch.x.shape[:2], -1, batch.size)[..., :size].flatten(-2)
    return Batch(x, batch.label[..., :size], batch.weight[..., :size])


@torch.no_grad()
def _feature_figures(features: Tensor) -> dict[str, Tensor]:
    x = features.cpu().double()
    centred = x - x.mean(-1, keepdim=True)
    covariance = centred @ centred.transpose(1, 2) / x.shape[-1]
    variance = covariance.diagonal(dim1=1, dim2=2)
    size = x.square().mean((1, 2)).sqrt()
    spread = variance.amax(-1).sqrt()
    total, squares = variance.sum(-1), covariance.square().sum((1, 2))
    return {
        "feature_spread": torch.where(size > 0, spread / size, 0.0),
        "feature_rank": torch.where(squares > 0, total.square() / squares, 0.0),
    }


def _moved(network: AdversarialNetwork, start: Tensor | None) -> Tensor:
    if start is None:
        return torch.full((network.members,), math.nan)
    change: Tensor = torch.linalg.vector_norm(head_weights(network) - start, dim=1)
    size: Tensor = torch.linalg.vector_norm(start, dim=1)
    return change / size


@torch.no_grad()
def _not_finite(network: AdversarialNetwork, features: Tensor) -> Tensor:
    values = [p.reshape(network.members, -1) for p in network.parameters()]
    values.append(features.reshape(network.members, -1))
    return 1 - torch.isfinite(torch.cat(values, dim=1)).cpu().double().mean(1)
