"""Classification without labels: two samples of data, mixed in other and unknown fractions.

Metodiev, Nachman & Thaler, "Classification without labels", arXiv:1708.02949: the best classifier
between two mixtures of the same classes is the best one between the classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import ConfigError
from ...stats import two_sample
from ...tensors import SPLITS, Source
from ..base import Method
from ..dann import DANN_PHASES

if TYPE_CHECKING:
    from ...domains import Domains


def mixed(domains: Domains) -> Source:
    """The target's events of the first two mixtures: class 1 those of the first, 0 of the second.

    Each weighs as much as the other. No label of an event takes part.

    Args:
        domains: with mixtures of the target.

    Raises:
        ConfigError: a mixture without events; or a two-sample test of their training events does
            not distinguish them, so that there is nothing to learn.
    """
    target, mixtures = domains.target, domains.mixtures
    assert mixtures is not None
    refuse_classes(domains)
    rows = np.flatnonzero((mixtures.number == 0) | (mixtures.number == 1))
    first = mixtures.number[rows] == 0
    events = target.take(rows)
    train = events.split == SPLITS.index("train")
    sides = [events.take(train & side) for side in (first, ~first)]
    empty = [k for k, side in enumerate(sides) if not side.weight.sum() > 0]
    if empty:
        raise ConfigError(
            f"no training event of the target, or no positive weight, is in mixture {empty[0] + 1}",
            where="train.mixtures",
            mend="check its condition",
        )
    if mixtures.check and not (test := two_sample(*sides)).shift:
        raise ConfigError(
            f"the two mixtures are not distinguished (AUC {test.auc:.3f} ± "
            f"{test.auc_error:.3f}, p = {test.p_value:.2g}): their fractions may be equal, and "
            "nothing can be learnt from them",
            where="train.mixtures",
            mend="name conditions whose signal fractions differ, convert more data, or, as in a "
            "search, train all the same (--no-check-mixtures)",
        )
    sums = np.array([side.weight.sum(dtype=np.float64) for side in sides])
    weight = events.weight * np.where(first, *(sums.mean() / sums))
    return Source(
        features=events.features,
        weight=weight.astype(np.float32),
        event_id=events.event_id,
        split=events.split,
        label=first.astype(np.int32),
        classes=domains.source.classes,
    )


def refuse_classes(domains: Domains) -> None:
    """Refuse more than two classes, which two mixtures cannot distinguish.

    Raises:
        ConfigError: the MC has more.
    """
    if len(domains.source.classes) != 2:
        raise ConfigError(
            f"mixtures distinguish two classes, and the MC has {len(domains.source.classes)}",
            where="train.methods",
            mend="leave cwola and llp out",
        )


CWOLA = Method(
    name="cwola",
    summary="distinguishes two mixed samples of data, and so their classes (Metodiev et al. 2017)",
    phases=DANN_PHASES,  # with lambda = 0: the domain head only watches
    adversarial=False,
    target_domain=0,
    mixtures=("cut",),
    source=mixed,
)
