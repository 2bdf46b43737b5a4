"""Planing: MC whose weights make the classes alike in the nuisances, so that they teach nothing.

de Oliveira et al., "Jet-images: deep learning edition", arXiv:1511.05190; the name is of Chang,
Cohen & Ostdiek, arXiv:1709.10106.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...tensors import SPLITS
from ..base import Method
from ..dann import DANN_PHASES

if TYPE_CHECKING:
    from ...domains import Domains
    from ...tensors import Source

_BINS = 20  # of a continuous nuisance, with equally many events of all classes together
_LARGEST = 20.0  # factor on the weight of an event


def planed(domains: Domains) -> Source:
    """The MC with weights that give each class the same distribution of each nuisance.

    In every bin a class is given the share that all classes have there, one nuisance after the
    other, three times round. A bin where a class has no positive sum of weights stays as it is.

    Args:
        domains: with nuisances.
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
