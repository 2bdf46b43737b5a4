"""Methods with an adversary: DANN, CDAN and their kin, and the algorithms of the original study.

Hybrid: MC, copies of it under other shifts, and the unlabelled target. Zhao et al., "Adversarial
Multiple Source Domain Adaptation" (2018), with one domain head for all, which tells labelled events
from target (binary), or each domain from every other.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce

import torch
from torch import Tensor

from ..networks import AdversarialNetwork
from ..registry import PARAMETRISED
from .base import AdversaryWeight, Batch, Losses, Method, Objective, Phase, domain_loss, label_loss


def _objective(
    network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight, *, losses: Losses
) -> Objective:
    """``L_y + w_d · ½ (L_d^source + L_d^target)``, or that part of it that the losses name.

    λ·λ_p is the factor on the domain gradient that is reversed at the features. With
    ``lambda_on_loss`` this is reversed in full, and λ·λ_p multiplies the loss: the domain head
    learns with it too, and not at all for λ = 0. Behind an optimiser of its own, clipped and scaled
    by Adam, λ then does almost nothing; it is kept as the study has it.
    """
    if losses.target_seen:
        features = network.features(batch.x, weight=batch.weight_sizes)
        labelled = features[..., : batch.labelled]
    else:
        x = batch.x[..., : batch.labelled]
        features = labelled = network.features(x, batch.domains - 1, batch.weight_sizes)
    terms, figures = [], dict[str, Tensor]()
    if losses.label:
        label = label_loss(network, labelled, batch)
        terms.append(label)
        figures["label_loss"] = label.detach()
    if losses.domain:
        if losses.target_detached:
            target = features[..., batch.labelled :].detach()
            features = torch.cat([labelled, target], dim=-1)
        factor: float | Tensor = adversary.domain_weight
        lambda_ = adversary.lambda_
        if losses.lambda_on_loss:
            factor, lambda_ = lambda_ * factor, torch.ones_like(lambda_)
        domain, recognised = domain_loss(network, features, batch, lambda_)
        terms.append(factor * domain)
        figures |= {"domain_loss": domain.detach(), "domain_accuracy": recognised}
    return Objective(reduce(torch.add, terms), figures)


def _phase(*parts: str, **losses: bool) -> Phase:
    """An update of some parts by these losses, which compiled engines compute too."""
    known = Losses(**losses)
    return Phase(parts, partial(_objective, losses=known), losses=known)


_WHOLE = ("extractor", "label_head", "domain_head")
DANN_PHASES = (_phase(*_WHOLE),)

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

_LABEL_PHASES = (_phase("extractor", "label_head", domain=False, target_seen=False),)


def unwatched(method: Method) -> Method:
    """Source-only without a domain head that watches; other methods as they are.

    The extractor and the label head that it trains are the same: with λ = 0 no gradient of the
    domain head comes back to them.
    """
    return replace(method, phases=_LABEL_PHASES) if method is SOURCE_ONLY else method


CDAN = Method(
    name="cdan",
    summary="dann whose domain head sees features times class probabilities (Long et al. 2018)",
    phases=DANN.phases,
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

DANN_ALTERNATING = Method(
    name="dann-alternating",
    summary="the study's own algorithm: two optimisers in turn, on L_y and on lambda L_d",
    phases=(
        _phase("extractor", "label_head", domain=False),
        _phase("extractor", "domain_head", label=False, lambda_on_loss=True),
    ),
    adversarial=True,
    normalisation="none",
)


DANN_JOINT = Method(
    name="dann-joint",
    summary="the study's single-step variant: L_y + lambda L_d, no gradient through the target",
    phases=(_phase(*_WHOLE, lambda_on_loss=True, target_detached=True),),
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
