"""Learning from label proportions: bags of data whose signal fractions are known, and no label.

Dery, Nachman, Rubbo & Schwartzman, "Weakly supervised classification in high energy physics",
arXiv:1702.00414; for the unbiased loss Lu et al., "On the minimal supervision for training any
binary classifier from only unlabeled data", arXiv:1808.10585.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import ConfigError
from ...networks import AdversarialNetwork
from ...tensors import SPLITS, Source
from ..base import AdversaryWeight, Batch, Method, Objective, Phase
from ..dann import DANN_PHASES
from ..losses import label_loss
from .cwola import refuse_classes

if TYPE_CHECKING:
    from ...domains import Domains

_LEAST = 0.05  # share of Σ|w| that the Σw of a bag is taken to be at least


def bagged(domains: Domains) -> Source:
    """The target's events in bags; class 1 are those of bags with more signal than the mean bag.

    The class only serves the figures of the validation. What the loss needs are the nuisances: the
    weight of an event, then for each bag its weight there, and the signal fraction of its bag.

    Args:
        domains: with mixtures of the target and their fractions.

    Raises:
        ConfigError: fewer than two different fractions, or a bag without events.
    """
    rows, bag, fractions = _bags(domains)
    events, known = domains.target.take(rows), np.array(fractions)
    inside = bag[:, None] == np.arange(len(fractions))
    weight = events.weight.astype(np.float64)
    columns = [weight, *(inside * weight[:, None]).T, known[bag]]
    return Source(
        features=events.features,
        weight=events.weight,
        event_id=events.event_id,
        split=events.split,
        label=(known[bag] > known.mean()).astype(np.int32),
        classes=domains.source.classes,
        nuisances=np.stack(columns, axis=1).astype(np.float32),
    )


def unmixed(domains: Domains) -> Source:
    """Every event of the target once as each class, so that the sum of all is half of either class.

    With fractions f the densities of the bags are M (p_B, p_S), rows of M being (1 - f, f); an
    event of bag b weighs as its column in the pseudo-inverse of M says, of either sign, over the
    number of events in the bag. The weighted cross entropy of these is unbiased for that of
    labelled events.

    Args:
        domains: with mixtures of the target and their fractions.

    Raises:
        ConfigError: as :func:`bagged`.
    """
    rows, bag, fractions = _bags(domains)
    events, known = domains.target.take(rows), np.array(fractions)
    inverse = np.linalg.pinv(np.stack([1 - known, known], axis=1))  # (class, bag)
    train = events.split == SPLITS.index("train")
    sums = np.bincount(bag[train], events.weight[train], minlength=len(known))
    share = inverse / sums * sums.sum() / 2
    label = np.repeat(np.arange(2, dtype=np.int32), len(rows))
    twice = events.take(np.tile(np.arange(len(rows)), 2))
    return Source(
        features=twice.features,
        weight=(twice.weight * share[label, np.tile(bag, 2)]).astype(np.float32),
        event_id=twice.event_id,
        split=twice.split,
        label=label,
        classes=domains.source.classes,
    )


def _bags(domains: Domains) -> tuple[NDArray[np.intp], NDArray[np.intp], tuple[float, ...]]:
    """Rows of the target that are in a bag, the bag of each, and the fraction of each bag."""
    mixtures = domains.mixtures
    assert mixtures is not None
    refuse_classes(domains)
    fractions = tuple(f for f in mixtures.fractions if f is not None)
    if len(set(fractions)) < 2:
        raise ConfigError(
            "all bags have one signal fraction: there is nothing to learn from them",
            where="train.mixtures",
            mend="name bags whose fractions differ",
        )
    rows = np.flatnonzero(mixtures.number >= 0)
    bag = mixtures.number[rows]
    train = domains.target.split[rows] == SPLITS.index("train")
    sums = np.bincount(
        bag[train], domains.target.weight[rows][train], minlength=len(mixtures.fractions)
    )
    empty = np.flatnonzero(sums <= 0)
    if len(empty):
        raise ConfigError(
            f"no training event of the target, or no positive weight, is in bag {empty[0] + 1}",
            where="train.mixtures",
            mend="check its condition",
        )
    return rows, bag, fractions


def _objective(network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight) -> Objective:
    """``Σ_b (f_b - ⟨score⟩_b)²`` over the bags of the batch: the weak loss of arXiv:1702.00414."""
    del adversary
    features = network.features(batch.x[..., : batch.labelled], batch.domains - 1)
    if batch.nuisance is None:  # events that only a look at the networks is taken with
        label = label_loss(network, features, batch)
        return Objective(label, {"label_loss": label.detach()})
    score = torch.sigmoid(network.label_logits(features)[:, 0])
    inside, fraction = batch.nuisance[:, 1:-1], batch.nuisance[:, -1:]
    total = torch.maximum(inside.sum(-1), _LEAST * inside.abs().sum(-1)).clamp(min=1e-12)
    mean, known = ((inside * v).sum(-1) / total for v in (score.unsqueeze(1), fraction))
    value = (known - mean).square().sum(-1)
    return Objective(value, {"label_loss": value.detach()})


LLP = Method(
    name="llp",
    summary="bags with known signal fractions, by their mean scores (Dery et al. 2017)",
    phases=(Phase(("extractor", "label_head"), _objective),),
    adversarial=False,
    target_domain=0,
    mixtures=("cut", "fraction"),
    source=bagged,
)

LLP_UNBIASED = Method(
    name="llp-unbiased",
    summary="bags with known signal fractions, by an unbiased cross entropy (Lu et al. 2019)",
    phases=DANN_PHASES,  # with lambda = 0: the domain head only watches
    adversarial=False,
    target_domain=0,
    mixtures=("cut", "fraction"),
    source=unmixed,
)
