"""A classifier whose score is decorrelated from a nuisance by their distance correlation.

Kasieczka & Shih, "Robust Jet Classifiers through Distance Correlation", arXiv:2001.05310.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...networks import AdversarialNetwork
from ..base import AdversaryWeight, Batch, Method, Objective, Phase
from ..losses import label_loss

_BLOCK = 1024  # events that are compared with each other; a larger batch is cut into blocks
_LEAST = 0.05  # share of Σ|w| that Σw is taken to be at least
_SMALLEST = 1e-12


def distance_correlation(x: Tensor, z: Tensor, weight: Tensor) -> Tensor:
    """Weighted squared distance correlation, 0 where x and z are independent and 1 at most.

    ``dCov²(x, z) / sqrt(dCov²(x, x) dCov²(z, z))`` with dCov² = Σ w_i w_j A_ij B_ij / (Σw)², A and
    B the doubly centred distances (Székely et al. 2007; eq. (8) of the paper, whose weights are
    positive). Where weights of both signs leave little of Σw, it is held at 5 % of Σ|w|.

    Args:
        x: (K, n) scores.
        z: (K, n) nuisance.
        weight: (K, n) event weights, of either sign.

    Returns:
        (K,) one value a member.
    """
    total, size = weight.sum(-1, keepdim=True), weight.abs().sum(-1, keepdim=True)
    share = weight / torch.maximum(total, _LEAST * size).clamp(min=_SMALLEST)
    a, b = (_centred(values, share) for values in (x, z))
    both = share.unsqueeze(-1) * share.unsqueeze(-2)
    common, of_x, of_z = ((both * p * q).sum((-2, -1)) for p, q in ((a, b), (a, a), (b, b)))
    return common / (of_x.clamp(min=0) * of_z.clamp(min=0)).clamp(min=_SMALLEST).sqrt()


def _centred(values: Tensor, share: Tensor) -> Tensor:
    """(K, n, n) distances less their means over rows and columns."""
    apart = (values.unsqueeze(-1) - values.unsqueeze(-2)).abs()
    mean = (apart * share.unsqueeze(-2)).sum(-1, keepdim=True)
    whole = (mean * share.unsqueeze(-1)).sum(-2, keepdim=True)
    return apart - mean - mean.transpose(-1, -2) + whole


def _objective(network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight) -> Objective:
    """``L_y + λ·λ_p·nuisance_weight·dCorr²(score, z)``, summed over nuisances and outputs."""
    features = network.features(batch.x[..., : batch.labelled], batch.domains - 1)
    label = label_loss(network, features, batch)
    if batch.nuisance is None:
        return Objective(label, {"label_loss": label.detach()})
    logits = network.label_logits(features)
    scores = torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)
    weight = batch.nuisance[:, 0]
    blocks = max(1, weight.shape[-1] // _BLOCK)
    tied = torch.zeros_like(label)
    for x in scores.unbind(1):
        for z in batch.nuisance[:, 1:].unbind(1):
            parts = (torch.tensor_split(t, blocks, dim=-1) for t in (x, z, weight))
            values = [distance_correlation(*block) for block in zip(*parts, strict=True)]
            tied = tied + torch.stack(values).mean(0)
    factor = adversary.lambda_ * adversary.nuisance_weight
    figures = {"label_loss": label.detach(), "nuisance_loss": tied.detach()}
    return Objective(label + factor * tied, figures)


DISCO = Method(
    name="disco",
    summary="its score has no distance correlation with a nuisance (Kasieczka & Shih 2020)",
    phases=(Phase(("extractor", "label_head"), _objective),),
    adversarial=True,
    target_domain=0,
    decorrelates=True,
)
