"""Methods with an adversary: DANN, CDAN and their kin, and the algorithms of the original study.

Hybrid: MC, copies of it under other shifts, and the unlabelled target. Zhao et al., "Adversarial
Multiple Source Domain Adaptation" (2018), with one domain head for all, which tells labelled events
from target (binary), or each domain from every other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..networks import AdversarialNetwork
from ..registry import PARAMETRISED
from .base import (
    AdversaryWeight,
    Batch,
    Losses,
    Method,
    Objective,
    Phase,
    domain_loss,
    label_loss,
)


def _objective(
    network: AdversarialNetwork,
    batch: Batch,
    adversary: AdversaryWeight,
    emphasis: Callable[[AdversarialNetwork, Tensor, Batch], Tensor] | None = None,
) -> Objective:
    """``L_y + w_d · ½ (L_d^source + L_d^target)``, the domain gradient reversed at the features."""
    features = network.features(batch.x, weight=batch.weight_sizes)
    label = label_loss(network, features[..., : batch.labelled], batch)
    weight = None if emphasis is None else emphasis(network, features.detach(), batch)
    domain, recognised = domain_loss(network, features, batch, adversary.lambda_, weight)
    figures = {
        "label_loss": label.detach(),
        "domain_loss": domain.detach(),
        "domain_accuracy": recognised,
    }
    return Objective(label + adversary.domain_weight * domain, figures)


_WHOLE = ("extractor", "label_head", "domain_head")
DANN_PHASES = (Phase(_WHOLE, _objective, losses=Losses()),)

DANN = Method(
    name="dann",
    summary="domain-adversarial network (Ganin et al. 2016), normalised per domain",
    phases=DANN_PHASES,
    adversarial=True,
)

SOURCE_ONLY = Method(
    name="source-only",
    summary="trained on MC, applied as it is; its domain head only watches",
    phases=DANN_PHASES,
    adversarial=False,
    target_domain=0,
)


def _labels_alone(
    network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight
) -> Objective:
    """``L_y``: the target is not looked at."""
    del adversary
    features = network.features(
        batch.x[..., : batch.labelled], batch.domains - 1, batch.weight_sizes
    )
    label = label_loss(network, features, batch)
    return Objective(label, {"label_loss": label.detach()})


_LABELS = Losses(domain=False, target_seen=False)
_LABEL_PHASES = (Phase(("extractor", "label_head"), _labels_alone, losses=_LABELS),)


def unwatched(method: Method) -> Method:
    """Source-only without a domain head that watches; other methods as they are.

    The extractor and the label head that it trains are the same: with λ = 0 no gradient of the
    domain head comes back to them.
    """
    return replace(method, phases=_LABEL_PHASES) if method is SOURCE_ONLY else method


def _cdan_objective(
    network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight
) -> Objective:
    """As ``dann``, with certain events weighing more in the domain loss."""
    return _objective(network, batch, adversary, _certainty)


def _certainty(network: AdversarialNetwork, features: Tensor, batch: Batch) -> Tensor:
    """(K, D, B) weights ``1 + exp(-H)`` of the entropy H (Long et al. 2018, 3.3), of mean 1."""
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
    phases=(Phase(_WHOLE, _cdan_objective),),
    adversarial=True,
    conditioned=True,
)

CALIBRATED = replace(
    SOURCE_ONLY,
    name="calibrated",
    summary="source-only on MC that a fitted map makes look like the target",
)
CALIBRATED_KNOWN = replace(
    CALIBRATED,
    name="calibrated-known",
    summary="the same in a study, the family that made the pseudo-data being among those fitted",
)
AWARE = replace(
    CALIBRATED,
    name=PARAMETRISED,
    summary="the same with the map's parameters, drawn for each event, as an input (Baldi 2016)",
)
SELF_TRAINING = Method(
    name="self-training",
    summary="MC's labels, and on the target the scores of an aligned teacher as soft labels",
    phases=DANN_PHASES,  # with lambda = 0: the domain head only watches
    adversarial=False,
    taught=True,
)


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
        Phase(("extractor", "label_head"), _label_objective, losses=Losses(domain=False)),
        Phase(
            ("extractor", "domain_head"),
            _domain_objective,
            losses=Losses(label=False, lambda_on_loss=True),
        ),
    ),
    adversarial=True,
    normalisation="none",
)


def _joint_objective(
    network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight
) -> Objective:
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


_JOINT = Losses(lambda_on_loss=True, target_detached=True)
DANN_JOINT = Method(
    name="dann-joint",
    summary="the study's single-step variant: L_y + lambda L_d, no gradient through the target",
    phases=(Phase(_WHOLE, _joint_objective, losses=_JOINT),),
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
