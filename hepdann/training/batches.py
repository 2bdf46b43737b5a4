"""The batches of an epoch: equally many events of each domain, each member's in its own order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..methods import Batch
from .events import DomainEvents
from .sampler import epoch_order

__all__ = ["Slot", "epoch_batches"]

_CHUNK = 1 << 18  # events of a domain gathered at a time, over all members


@dataclass(frozen=True, eq=False)
class Slot:
    """One of the D domains of a batch.

    Attributes:
        stream: of the sampler; events of two slots are never drawn in the same order.
        events: what members draw from.
        chosen: (K,) index into ``events`` for each member.
    """

    stream: int
    events: Sequence[DomainEvents]
    chosen: tuple[int, ...]


def epoch_batches(
    slots: Sequence[Slot],
    seeds: Sequence[int],
    *,
    epoch: int,
    size: int,
    steps: int,
    first: int = 0,
) -> Iterator[tuple[int, Batch, int]]:
    """The steps of an epoch.

    Args:
        slots: the D domains in the order of the batch: source, auxiliaries, target.
        seeds: (K,) of the members.
        epoch: counted from 0.
        size: events of each domain a step.
        steps: of the epoch.
        first: step to begin with, after a resume.

    Yields:
        The step, its batch, and the end of the chunk of steps that it was gathered with.
    """
    orders = [
        np.stack(
            [
                epoch_order(
                    slot.events[which].n_train,
                    size * steps,
                    seed=seed,
                    epoch=epoch,
                    stream=slot.stream,
                )
                for seed, which in zip(seeds, slot.chosen, strict=True)
            ]
        )
        for slot in slots
    ]
    masses = [[slot.events[which].mass for which in slot.chosen] for slot in slots]
    mass = slots[0].events[0].weight.new_tensor(masses).T
    chunk = max(1, _CHUNK // (size * len(seeds)))
    for begin in range(first, steps, chunk):
        last = min(begin + chunk, steps)
        rows = [order[:, begin * size : last * size] for order in orders]
        x, label, weight = _gather(slots, rows, size)
        for step in range(begin, last):
            at = step - begin
            yield step, Batch(x[at], label[at], weight[at], mass), last


def _gather(
    slots: Sequence[Slot], rows: Sequence[NDArray[np.int64]], size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The events of some steps, laid out as the batches have them, so that a batch is a view.

    Args:
        slots: the D domains.
        rows: of each domain (K, steps * size) event indices.
        size: events of each domain a step.

    Returns:
        Features (steps, K, F, D * size), labels (steps, K, D - 1, size), weights (steps, K, D,
        size).
    """
    events, labels = slots[0].events[0], slots[0].events[0].label
    assert labels is not None
    members, steps = len(rows[0]), rows[0].shape[1] // size
    x = events.x.new_empty(steps, members, events.x.shape[1], len(slots), size)
    label = labels.new_empty(steps, members, len(slots) - 1, size)
    weight = events.weight.new_empty(steps, members, len(slots), size)
    for d, (slot, indices) in enumerate(zip(slots, rows, strict=True)):
        for k, which in enumerate(slot.chosen):
            domain = slot.events[which]
            index = torch.from_numpy(indices[k]).to(domain.x.device)
            found = domain.x.index_select(0, index).view(steps, size, -1)
            x[:, k, :, d] = found.transpose(1, 2)
            weight[:, k, d] = domain.weight.index_select(0, index).view(steps, size)
            if domain.label is not None and d + 1 < len(slots):
                label[:, k, d] = domain.label.index_select(0, index).view(steps, size)
    return x.flatten(3), label, weight
