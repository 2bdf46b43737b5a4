"""The batches of an epoch: equally many events of each domain, each member's in its own order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..methods import Batch
from .events import DomainEvents, gather
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
        rows = slice(begin * size, last * size)
        pieces = [
            gather(slot.events, slot.chosen, order[:, rows])
            for slot, order in zip(slots, orders, strict=True)
        ]
        for step in range(begin, last):
            cut = slice((step - begin) * size, (step - begin + 1) * size)
            batch = Batch(
                torch.cat([x[..., cut] for x, _, _ in pieces], dim=-1),
                torch.stack([label[:, cut] for _, label, _ in pieces[:-1]], dim=1),
                torch.stack([weight[:, cut] for _, _, weight in pieces], dim=1),
                mass,
            )
            yield step, batch, last
