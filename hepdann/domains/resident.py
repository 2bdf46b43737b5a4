"""Events of one domain, scaled and resident on the device for the whole training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import RunError
from ..tensors import SPLITS, Source, Split, Target
from .event_stream import STATISTICS, Blocks, EventStream, Stream, epoch_order
from .nuisances import Nuisances
from .scaling import Scaling

FEW_IMAGES = 2_048  # of these two samples, where an event is an image
_LARGEST_SAMPLE = 8_192  # events for normalisation statistics and for an observer
_LARGEST_VALIDATION = 4_096  # events for the figures of an epoch


@dataclass(frozen=True, eq=False)
class DomainEvents:
    """Tensors of one domain; a target has no labels.

    Attributes:
        x: (n_train, F) scaled features of the training split.
        weight: (n_train,) event weight over the mean of the training split, negative ones included:
            the mean is 1.
        label: (n_train,) class index, or the value that a regression estimates; ``None`` for a
            target.
        x_validation: (F, n) scaled features of the validation split, a sample of it if large.
        x_statistics: (F, m) training events that fix the normalisation statistics; of every
            domain equally many, a small one several times over.
        weight_statistics: (m,) weights of these.
        x_watched: (F, k) the events of :func:`watched_rows`, whose scores an observer is shown.
        images: whether an event is a row of pixels, or of objects.
        nuisance: (n_train, 1 + M) of labelled events: the weight that each has where a score is
            made independent of nuisances, and these; ``None`` unless a method needs them.
        weighted: whether sizes of weights are other than 1.
    """

    x: Tensor
    weight: Tensor
    label: Tensor | None
    x_validation: Tensor
    weight_validation: Tensor
    label_validation: Tensor | None
    x_statistics: Tensor
    weight_statistics: Tensor
    x_watched: Tensor
    stream: Stream | None = None
    images: bool = False
    nuisance: Tensor | None = None
    weighted: bool = False

    @property
    def n_train(self) -> int:
        """Events to train on, those of the stream apart."""
        return len(self.x)


def resident(
    events: Source | Target,
    scaling: Scaling,
    *,
    device: str,
    dtype: torch.dtype = torch.float32,
    blocks: Blocks | None = None,
    nuisances: Nuisances | None = None,
) -> DomainEvents:
    """Scale the events of a domain and put them on the device.

    Raises:
        RunError: the weights of the training split do not add up to more than 0.
    """
    stream = None if blocks is None else EventStream(blocks, scaling, device, dtype)
    train, held = events.part("train"), events.take(validation_rows(events))
    mean = mean_weight(events, float(np.mean(train.weight)) if blocks is None else blocks.weight)

    def put(array: NDArray[np.generic], kind: torch.dtype) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device, kind)

    def kind_of(source: Source) -> torch.dtype:
        return dtype if source.label.dtype.kind == "f" else torch.int64

    keep = epoch_order(len(train), _LARGEST_SAMPLE, seed=0, epoch=0, stream=STATISTICS)
    x, weight = put(scaling.apply(train.features), dtype), put(train.weight / mean, dtype)
    rows = torch.from_numpy(keep).to(device)
    nuisance = None
    if isinstance(train, Source) and train.nuisances is not None:
        nuisance = put(train.nuisances if nuisances is None else nuisances.apply(train), dtype)
    return DomainEvents(
        x=x,
        weight=weight,
        label=put(train.label, kind_of(train)) if isinstance(train, Source) else None,
        x_validation=put(scaling.apply(held.features).T, dtype),
        weight_validation=put(held.weight / mean, dtype),
        label_validation=put(held.label, kind_of(held)) if isinstance(held, Source) else None,
        x_watched=put(scaling.apply(events.features[watched_rows(events)]).T, dtype),
        x_statistics=x[rows].T.contiguous(),
        weight_statistics=weight[rows],
        stream=stream,
        nuisance=nuisance,
        weighted=not np.allclose(np.abs(train.weight), mean),
    )


def mean_weight(events: Source | Target, mean: float) -> float:
    """The mean weight of the training events, if there can be a weighted mean of anything.

    Raises:
        RunError: it is not above 0.
    """
    if mean > 0:
        return mean
    raise RunError(
        f"the event weights of the {'MC' if isinstance(events, Source) else 'target'}'s training "
        "split do not add up to more than 0",
        mend="a loss with such weights has no minimum: check weights and scales, or convert "
        "without weights",
    )


def validation_rows(events: Source | Target, *, images: bool = False) -> NDArray[np.intp]:
    """Rows that each epoch's validation looks at: the validation split, a sample if large."""
    return _some_rows(events, "validation", FEW_IMAGES if images else _LARGEST_VALIDATION)


def watched_rows(events: Source | Target, *, images: bool = False) -> NDArray[np.intp]:
    """Rows whose scores an observer is shown after each epoch: the test split, likewise."""
    return _some_rows(events, "test", FEW_IMAGES if images else _LARGEST_SAMPLE)


def _some_rows(events: Source | Target, split: Split, most: int) -> NDArray[np.intp]:
    rows = np.flatnonzero(events.split == SPLITS.index(split))
    if len(rows) <= most:
        return rows
    return rows[np.sort(np.random.default_rng(len(rows)).choice(len(rows), most, replace=False))]
