"""Scores that do not depend on a nuisance.

* disco: distance correlation of score and nuisance; Kasieczka & Shih, "Robust Jet Classifiers
  through Distance Correlation", arXiv:2001.05310.
* planing: weights that make the classes alike in the nuisances; de Oliveira et al., "Jet-images:
  deep learning edition", arXiv:1511.05190; the name is of Chang, Cohen & Ostdiek, arXiv:1709.10106.
* pivot: an adversary estimates the nuisance from the score; Louppe, Kagan & Cranmer, "Learning to
  Pivot with Adversarial Networks", arXiv:1611.01046.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..networks import GAUSSIANS, AdversarialNetwork
from ..tensors import SPLITS
from .base import AdversaryWeight, Batch, Method, Objective, Phase, domain_loss, label_loss
from .dann import DANN_PHASES

if TYPE_CHECKING:
    from ..domains import Domains
    from ..tensors import Source

_BLOCK = 1024  # events that are compared with each other; a larger batch is cut into blocks
_LEAST = 0.05  # share of Σ|w| that Σw is taken to be at least
_SMALLEST = 1e-12
_BINS = 20  # of a continuous nuisance, with equally many events of all classes together
_LARGEST = 20.0  # factor on the weight of an event
_NARROWEST = 5.0  # |logarithm of the width| of a Gaussian, in standard deviations of the nuisance


def distance_correlation(x: Tensor, z: Tensor, weight: Tensor) -> Tensor:
    """Weighted squared distance correlation (K,), 0 where x and z are independent and 1 at most.

    ``dCov²(x, z) / sqrt(dCov²(x, x) dCov²(z, z))`` with dCov² = Σ w_i w_j A_ij B_ij / (Σw)², A and
    B the doubly centred distances (Székely et al. 2007; eq. (8) of the paper, whose weights are
    positive). Scores x, nuisance z and weights, of either sign, are (K, n). Where weights of both
    signs leave little of Σw, it is held at 5 % of Σ|w|.
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


# Of logits of the labelled events: what is added to L_y, and the figure that the history keeps.
_Term = Callable[[AdversarialNetwork, Tensor, Batch, AdversaryWeight], tuple[Tensor, Tensor]]


def _labelled(network: AdversarialNetwork, batch: Batch) -> Tensor:
    """Feature layer of the labelled events; the target is not looked at."""
    return network.features(batch.x[..., : batch.labelled], batch.domains - 1)


def _factor(adversary: AdversaryWeight) -> Tensor:
    return adversary.lambda_ * adversary.nuisance_weight


def _objective(
    network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight, *, term: _Term
) -> Objective:
    """``L_y`` and a term of the nuisances."""
    features = _labelled(network, batch)
    label = label_loss(network, features, batch)
    if batch.nuisance is None:
        return Objective(label, {"label_loss": label.detach()})
    added, figure = term(network, network.label_logits(features), batch, adversary)
    figures = {"label_loss": label.detach(), "nuisance_loss": figure.detach()}
    return Objective(label + added, figures)


def _correlation(
    network: AdversarialNetwork, logits: Tensor, batch: Batch, adversary: AdversaryWeight
) -> tuple[Tensor, Tensor]:
    """``λ·λ_p·nuisance_weight·dCorr²(score, z)``, summed over nuisances and outputs."""
    del network
    assert batch.nuisance is not None
    scores = torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)
    weight = batch.nuisance[:, 0]
    blocks = max(1, weight.shape[-1] // _BLOCK)
    tied = torch.zeros_like(adversary.lambda_)
    for x in scores.unbind(1):
        for z in batch.nuisance[:, 1:].unbind(1):
            parts = (torch.tensor_split(t, blocks, dim=-1) for t in (x, z, weight))
            values = [distance_correlation(*block) for block in zip(*parts, strict=True)]
            tied = tied + torch.stack(values).mean(0)
    return _factor(adversary) * tied, tied


DISCO = Method(
    name="disco",
    summary="its score has no distance correlation with a nuisance (Kasieczka & Shih 2020)",
    phases=(Phase(("extractor", "label_head"), partial(_objective, term=_correlation)),),
    adversarial=True,
    target_domain=0,
    decorrelates=True,
)


def planed(domains: Domains) -> Source:
    """The MC with weights that give each class the same distribution of each nuisance.

    In every bin a class is given the share that all classes have there, one nuisance after the
    other, three times round. A bin where a class has no positive sum of weights stays as it is.
    """
    source, nuisances = domains.source, domains.nuisances
    assert nuisances is not None
    assert source.nuisances is not None
    train = source.split == SPLITS.index("train")
    bins = []
    for values, column in zip(nuisances.categories, source.nuisances.T, strict=True):
        shares = np.linspace(0, 1, _BINS + 1)[1:-1]
        edges = np.unique(np.quantile(column[train], shares)) if values is None else values
        bins.append(np.searchsorted(edges, column, side="right"))
    factor = np.ones(len(source))
    for _ in range(3 if len(bins) > 1 else 1):
        for where in bins:
            factor *= _flattening(where, source.label, source.weight * factor, train)
    weight = source.weight * np.clip(factor, 0, _LARGEST)
    return replace(source, weight=weight.astype(np.float32), nuisances=None)


def _flattening(
    where: NDArray[np.intp],
    label: NDArray[np.int32],
    weight: NDArray[np.float64],
    train: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """(N,) share of all classes in the bin of an event over that of its own class."""
    classes, bins = int(label.max()) + 1, int(where.max()) + 1
    sums = np.zeros((classes, bins))
    np.add.at(sums, (label[train], where[train]), weight[train])
    share = sums / sums.sum(axis=1, keepdims=True)
    wanted = share.mean(axis=0)
    ratio = np.divide(wanted, share, out=np.ones_like(share), where=share > 0)
    return np.asarray(ratio[label, where])


PLANING = Method(
    name="planing",
    summary="source-only on MC whose weights make the classes alike in the nuisances",
    phases=DANN_PHASES,  # with lambda = 0: the domain head only watches
    adversarial=False,
    target_domain=0,
    decorrelates=True,
    source=planed,
)


def nuisance_loss(
    network: AdversarialNetwork, logits: Tensor, batch: Batch, lambda_: Tensor
) -> Tensor:
    """``-Σ w ln p(z | score) / n`` (K,), summed over the nuisances z: L_r of the paper.

    Of a continuous z, in units of its standard deviation, p is a mixture of five Gaussians; of a
    categorical one a probability for each value. The logits (K, outputs, n) are of the label head
    for the labelled events; λ (K,) is the factor on the gradient that reaches them, reversed.
    """
    assert batch.nuisance is not None
    weight, values = batch.nuisance[:, 0], batch.nuisance[:, 1:]
    outputs = network.nuisance_outputs(logits, lambda_.view(-1, 1, 1))
    losses = []
    for width, output, z in zip(network.shape.nuisances, outputs, values.unbind(1), strict=True):
        if width:
            losses.append(functional.cross_entropy(output, z.long(), reduction="none"))
            continue
        share, mean, log_width = torch.split(output, GAUSSIANS, dim=1)
        log_width = _NARROWEST * torch.tanh(log_width / _NARROWEST)
        pull = (z.unsqueeze(1) - mean) * torch.exp(-log_width)
        density = functional.log_softmax(share, dim=1) - log_width - 0.5 * pull.square()
        losses.append(0.5 * math.log(2 * math.pi) - torch.logsumexp(density, dim=1))
    return (torch.stack(losses).sum(0) * weight).sum(-1) / batch.labelled


def _estimate(
    network: AdversarialNetwork, logits: Tensor, batch: Batch, adversary: AdversaryWeight
) -> tuple[Tensor, Tensor]:
    """``L_r``, its gradient reversed at the score, times λ·λ_p·nuisance_weight."""
    guess = nuisance_loss(network, logits, batch, _factor(adversary))
    return guess, guess


def _against(
    network: AdversarialNetwork, logits: Tensor, batch: Batch, adversary: AdversaryWeight
) -> tuple[Tensor, Tensor]:
    """``-λ·λ_p·nuisance_weight·L_r``, of the adversary as it is: nothing is reversed."""
    guess = nuisance_loss(network, logits, batch, -torch.ones_like(adversary.lambda_))
    return -_factor(adversary) * guess, guess


def _with_domains(
    network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight
) -> Objective:
    """``L_y + L_r`` with the domain loss of ``dann``: two adversaries."""
    features = network.features(batch.x)
    labelled = features[..., : batch.labelled]
    label = label_loss(network, labelled, batch)
    domain, recognised = domain_loss(network, features, batch, adversary.lambda_)
    value = label + adversary.domain_weight * domain
    figures = {
        "label_loss": label.detach(),
        "domain_loss": domain.detach(),
        "domain_accuracy": recognised,
    }
    if batch.nuisance is not None:
        guess = nuisance_loss(network, network.label_logits(labelled), batch, _factor(adversary))
        value, figures["nuisance_loss"] = value + guess, guess.detach()
    return Objective(value, figures)


def _adversary(network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight) -> Objective:
    """``L_r`` of the adversary alone."""
    with torch.no_grad():
        features = _labelled(network, batch)
        label = label_loss(network, features, batch)
        logits = network.label_logits(features)
    if batch.nuisance is None:
        return Objective(torch.zeros_like(label, requires_grad=True), {"label_loss": label})
    guess = nuisance_loss(network, logits, batch, _factor(adversary))
    return Objective(guess, {"label_loss": label, "nuisance_loss": guess.detach()})


PIVOT = Method(
    name="pivot",
    summary="its score tells an adversary nothing of a nuisance (Louppe et al. 2016), reversed",
    phases=(
        Phase(("extractor", "label_head", "nuisance_head"), partial(_objective, term=_estimate)),
    ),
    adversarial=True,
    target_domain=0,
    decorrelates=True,
    nuisance_head=True,
)

PIVOT_ALTERNATING = replace(
    PIVOT,
    name="pivot-alternating",
    summary="pivot as its paper has it: steps of the adversary, then one of the classifier",
    phases=(
        Phase(("nuisance_head",), _adversary),
        Phase(("extractor", "label_head"), partial(_objective, term=_against), rare=True),
    ),
)

DANN_PIVOT = replace(
    PIVOT,
    name="dann-pivot",
    summary="dann and pivot in one: neither the domain nor a nuisance can be told",
    phases=(Phase(("extractor", "label_head", "domain_head", "nuisance_head"), _with_domains),),
    target_domain=1,
)
