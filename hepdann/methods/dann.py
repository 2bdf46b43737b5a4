"""The domain-adversarial network, and source-only: the same step with λ = 0."""

from __future__ import annotations

from dataclasses import replace

from ..networks import AdversarialNetwork
from .base import AdversaryWeight, Batch, Method, Objective, Phase
from .losses import domain_loss, label_loss


def _objective(network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight) -> Objective:
    """``L_y + w_d · ½ (L_d^source + L_d^target)``, the domain gradient reversed at the features."""
    features = network.features(batch.x, weight=batch.weight_sizes)
    label = label_loss(network, features[..., : batch.labelled], batch)
    domain, recognised = domain_loss(network, features, batch, adversary.lambda_)
    figures = {
        "label_loss": label.detach(),
        "domain_loss": domain.detach(),
        "domain_accuracy": recognised,
    }
    return Objective(label + adversary.domain_weight * domain, figures)


DANN_PHASES = (Phase(("extractor", "label_head", "domain_head"), _objective),)

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


_LABEL_PHASES = (Phase(("extractor", "label_head"), _labels_alone),)


def unwatched(method: Method) -> Method:
    """Source-only without a domain head that watches; other methods as they are.

    The extractor and the label head that it trains are the same: with λ = 0 no gradient of the
    domain head comes back to them.
    """
    return replace(method, phases=_LABEL_PHASES) if method is SOURCE_ONLY else method
