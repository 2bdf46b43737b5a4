"""Methods that learn from mixed samples within the target, of which no event has a label.

Without fractions: Metodiev, Nachman & Thaler, "Classification without labels", arXiv:1708.02949:
the best classifier between two mixtures of the same classes is the best one between the classes.

With the signal fraction of each bag: Dery, Nachman, Rubbo & Schwartzman, "Weakly supervised
classification in high energy physics", arXiv:1702.00414; for the unbiased loss Lu et al., "On the
minimal supervision for training any binary classifier from only unlabeled data", arXiv:1808.10585.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ConfigError
from ..networks import AdversarialNetwork
from ..stats import two_sample
from ..tensors import SPLITS, Source, Target
from .base import AdversaryWeight, Batch, Method, Objective, Phase, label_loss
from .dann import DANN_PHASES

if TYPE_CHECKING:
    from ..domains import Domains

_LEAST = 0.05  # share of Σ|w| that the Σw of a bag is taken to be at least


def mixed(domains: Domains) -> Source:
    """The target's events of the first two mixtures: class 1 those of the first, 0 of the second.

    Each weighs as much as the other. No label of an event takes part.

    Raises:
        ConfigError: a mixture without events; or a two-sample test of their training events does
            not distinguish them, so that there is nothing to learn.
    """
    events, which, sums = _within(domains, 2, "mixture")
    assert domains.mixtures is not None
    if domains.mixtures.check:
        train = events.split == SPLITS.index("train")
        test = two_sample(*(events.take(train & (which == k)) for k in range(2)))
        if not test.shift:
            raise ConfigError(
                f"the two mixtures are not distinguished (AUC {test.auc:.3f} ± "
                f"{test.auc_error:.3f}, p = {test.p_value:.2g}): their fractions may be equal, and "
                "nothing can be learnt from them",
                where="train.mixtures",
                mend="name conditions whose signal fractions differ, convert more data, or, as in "
                "a search, train all the same (--no-check-mixtures)",
            )
    weight = events.weight * (sums.mean() / sums)[which]
    return _labelled(events, which == 0, weight, domains)


def _bagged(domains: Domains) -> Source:
    """The target's events in bags; class 1 are those of bags with more signal than the mean bag."""
    events, bag, _ = _within(domains, None, "bag")
    known = _fractions(domains)
    inside = bag[:, None] == np.arange(len(known))
    weight = events.weight.astype(np.float64)
    columns = [weight, *(inside * weight[:, None]).T, known[bag]]
    nuisances = np.stack(columns, axis=1).astype(np.float32)
    return _labelled(events, known[bag] > known.mean(), weight, domains, nuisances=nuisances)


def unmixed(domains: Domains) -> Source:
    """Every event of the target once as each class, so that the sum of all is half of either class.

    With fractions f the densities of the bags are M (p_B, p_S), rows of M being (1 - f, f); an
    event of bag b weighs as its column in the pseudo-inverse of M says, of either sign, over the
    number of events in the bag. The weighted cross entropy of these is unbiased for that of
    labelled events.

    Raises:
        ConfigError: as :func:`_bagged`.
    """
    events, bag, sums = _within(domains, None, "bag")
    known = _fractions(domains)
    inverse = np.linalg.pinv(np.stack([1 - known, known], axis=1))  # (class, bag)
    share = inverse / sums * sums.sum() / 2
    label, twice = np.repeat(np.arange(2), len(bag)), np.tile(np.arange(len(bag)), 2)
    weight = events.weight[twice] * share[label, bag[twice]]
    return _labelled(events.take(twice), label, weight, domains)


def _fractions(domains: Domains) -> NDArray[np.float64]:
    """Of the last class in each bag; at least two are different."""
    assert domains.mixtures is not None
    fractions = [f for f in domains.mixtures.fractions if f is not None]
    if len(set(fractions)) < 2:
        raise ConfigError(
            "all bags have one signal fraction: there is nothing to learn from them",
            where="train.mixtures",
            mend="name bags whose fractions differ",
        )
    return np.array(fractions)


def _within(
    domains: Domains, first: int | None, word: str
) -> tuple[Target, NDArray[np.intp], NDArray[np.float64]]:
    """Events of the target in a mixture, which one, and the sum of each one's training weights."""
    target, mixtures = domains.target, domains.mixtures
    assert mixtures is not None
    if len(domains.source.classes) != 2:
        raise ConfigError(
            f"mixtures distinguish two classes, and the MC has {len(domains.source.classes)}",
            where="train.methods",
            mend="leave cwola and llp out",
        )
    count = first or len(mixtures.fractions)
    events = target.take(rows := np.flatnonzero((mixtures.number >= 0) & (mixtures.number < count)))
    which, train = mixtures.number[rows], events.split == SPLITS.index("train")
    sums = np.bincount(which[train], events.weight[train], minlength=count)
    if (sums <= 0).any():
        raise ConfigError(
            f"no training event of the target, or no positive weight, is in {word} "
            f"{np.flatnonzero(sums <= 0)[0] + 1}",
            where="train.mixtures",
            mend="check its condition",
        )
    return events, which, sums.astype(np.float64)


def _labelled(
    events: Target, label: NDArray[Any], weight: NDArray[Any], domains: Domains, **more: Any
) -> Source:
    return Source(
        features=events.features,
        weight=weight.astype(np.float32),
        event_id=events.event_id,
        split=events.split,
        label=label.astype(np.int32),
        classes=domains.source.classes,
        **more,
    )


def _objective(network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight) -> Objective:
    """``Σ_b (f_b - ⟨score⟩_b)²`` over the bags of the batch: the weak loss of arXiv:1702.00414."""
    del adversary
    features = network.features(
        batch.x[..., : batch.labelled], batch.domains - 1, batch.weight_sizes
    )
    if batch.nuisance is None:  # events that only a look at the networks is taken with
        label = label_loss(network, features, batch)
        return Objective(label, {"label_loss": label.detach()})
    score = torch.sigmoid(network.label_logits(features)[:, 0])
    inside, fraction = batch.nuisance[:, 1:-1], batch.nuisance[:, -1:]
    total = torch.maximum(inside.sum(-1), _LEAST * inside.abs().sum(-1)).clamp(min=1e-12)
    mean, known = ((inside * v).sum(-1) / total for v in (score.unsqueeze(1), fraction))
    value = (known - mean).square().sum(-1)
    return Objective(value, {"label_loss": value.detach()})


CWOLA = Method(
    name="cwola",
    summary="distinguishes two mixed samples of data, and so their classes (Metodiev et al. 2017)",
    phases=DANN_PHASES,  # with lambda = 0: the domain head only watches
    adversarial=False,
    target_domain=0,
    mixtures=("cut",),
    source=mixed,
)

LLP = Method(
    name="llp",
    summary="bags with known signal fractions, by their mean scores (Dery et al. 2017)",
    phases=(Phase(("extractor", "label_head"), _objective),),
    adversarial=False,
    target_domain=0,
    mixtures=("cut", "fraction"),
    source=_bagged,
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
