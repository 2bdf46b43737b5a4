"""The batches of an epoch: equally many events of each domain, each member's in its own order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ..domains.event_stream import BatchRows, DomainEvents, StreamReader, epoch_order
from ..methods import Batch
from ..tensors import Source, Split, Target
from .distributed import ALONE, Processes

_CHUNK = 1 << 18  # events of a domain gathered at a time, over all members
_REPORT_EVERY = 10  # steps with images between two reports of progress


@dataclass(frozen=True, eq=False)
class Slot:
    """One of the D domains of a batch.

    Attributes:
        stream: of the sampler; events of two slots are never drawn in the same order.
        chosen: (K,) index into ``events`` for each member.
    """

    stream: int
    events: Sequence[DomainEvents]
    chosen: tuple[int, ...]

    @property
    def weighted(self) -> bool:
        """Whether any events of the training are weighted: so for a member in any stack."""
        return any(domain.weighted for domain in self.events)


def epoch_batches(
    slots: Sequence[Slot],
    seeds: Sequence[int],
    *,
    epoch: int,
    size: int,
    steps: int,
    first: int = 0,
    processes: Processes = ALONE,
) -> Iterator[tuple[int, Batch, int]]:
    """The steps of an epoch.

    Yields:
        The step, its batch, and the end of the chunk of steps that it was gathered with.
    """
    feeds = [_Feed(slot, seeds, epoch, size * steps, size * first) for slot in slots]
    if slots[0].events[0].images or processes.count > 1:
        single = _single(slots, feeds, range(first, steps), size, processes)
        with ThreadPoolExecutor(1) as reader:  # the next batch, while one is trained on
            coming = reader.submit(next, single, None)
            while (batch := coming.result()) is not None:
                coming = reader.submit(next, single, None)
                yield batch
        return
    chunk = max(1, _CHUNK // (size * len(seeds)))
    weighted = any(slot.weighted for slot in slots)
    for begin in range(first, steps, chunk):
        last = min(begin + chunk, steps)
        x, label, weight, nuisance = _gather(slots, feeds, begin, last - begin, size)
        for step in range(begin, last):
            at = step - begin
            further = None if nuisance is None else nuisance[at]
            yield step, Batch(x[at], label[at], weight[at], further, weighted), last


def _single(
    slots: Sequence[Slot], feeds: Sequence[_Feed], steps: range, size: int, processes: Processes
) -> Iterator[tuple[int, Batch, int]]:
    """Steps one by one, each event a row in memory, as networks of images want them."""
    part = processes.share(size)
    size_of_part = part.stop - part.start
    sample, domains = slots[0].events[0], len(slots)
    members, width = len(slots[0].chosen), sample.x.shape[1]
    assert sample.label is not None
    for step in steps:
        x = sample.x.new_empty(members, domains, size_of_part, width)
        label = sample.label.new_empty(members, domains - 1, size_of_part)
        weight = sample.weight.new_empty(members, domains, size_of_part)
        for d, feed in enumerate(feeds):
            for k, rows in enumerate(feed.take(step * size, size, part)):
                features, labelled, weights, _ = rows
                x[k, d], weight[k, d] = features, weights
                if labelled is not None and d + 1 < domains:
                    label[k, d] = labelled
        last = min((step // _REPORT_EVERY + 1) * _REPORT_EVERY, steps.stop)
        yield step, Batch(x.flatten(1, 2).transpose(1, 2), label, weight), last


class _Feed:
    """What each member draws from a slot in an epoch, from memory or from a stream."""

    def __init__(
        self, slot: Slot, seeds: Sequence[int], epoch: int, length: int, first: int
    ) -> None:
        self._slot = slot
        self._orders: dict[int, NDArray[np.int64]] = {}
        streamed: dict[int, list[int]] = {}
        for k, (seed, which) in enumerate(zip(seeds, slot.chosen, strict=True)):
            domain = slot.events[which]
            if domain.stream is None:
                self._orders[k] = epoch_order(
                    domain.n_train, length, seed=seed, epoch=epoch, stream=slot.stream
                )
            else:
                streamed.setdefault(which, []).append(k)
        self._readers = [
            (members, StreamReader(
                stream, [seeds[k] for k in members], epoch=epoch, number=slot.stream, first=first
            ))
            for which, members in streamed.items()
            if (stream := slot.events[which].stream) is not None
        ]  # fmt: skip

    def take(self, begin: int, count: int, share: slice = slice(None)) -> Iterator[BatchRows]:
        """Events ``begin`` to ``begin + count`` of the epoch, which follow the last ones."""
        read = {
            k: rows
            for members, reader in self._readers
            for k, rows in zip(members, reader.take(count, share), strict=True)
        }
        for k, which in enumerate(self._slot.chosen):
            if k in read:
                yield read[k]
                continue
            domain = self._slot.events[which]
            rows = torch.from_numpy(self._orders[k][begin : begin + count][share]).to(
                domain.x.device
            )
            label, further = (
                None if column is None else column.index_select(0, rows)
                for column in (domain.label, domain.nuisance)
            )
            yield (
                domain.x.index_select(0, rows),
                label,
                domain.weight.index_select(0, rows),
                further,
            )


def _gather(
    slots: Sequence[Slot], feeds: Sequence[_Feed], begin: int, steps: int, size: int
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The events of some steps, laid out as the batches have them, so that a batch is a view.

    Returns:
        Features (steps, K, F, D * size), labels (steps, K, D - 1, size), weights (steps, K, D,
        size), nuisances (steps, K, 1 + M, (D - 1) * size) if all labelled domains have them.
    """
    events, labels = slots[0].events[0], slots[0].events[0].label
    assert labels is not None
    members = len(slots[0].chosen)
    x = events.x.new_empty(steps, members, events.x.shape[1], len(slots), size)
    label = labels.new_empty(steps, members, len(slots) - 1, size)
    weight = events.weight.new_empty(steps, members, len(slots), size)
    columns = _nuisances(slots)
    nuisance = x.new_empty(steps, members, columns, len(slots) - 1, size)
    for d, feed in enumerate(feeds):
        for k, rows in enumerate(feed.take(begin * size, steps * size)):
            features, labelled, weights, further = rows
            x[:, k, :, d] = features.view(steps, size, -1).transpose(1, 2)
            weight[:, k, d] = weights.view(steps, size)
            if labelled is not None and d + 1 < len(slots):
                label[:, k, d] = labelled.view(steps, size)
            if columns and further is not None and d + 1 < len(slots):
                nuisance[:, k, :, d] = further.view(steps, size, -1).transpose(1, 2)
    return x.flatten(3), label, weight, nuisance.flatten(3) if columns else None


def _nuisances(slots: Sequence[Slot]) -> int:
    """Columns, weight included, that the labelled domains of all members have; 0 of none."""
    chosen = [slot.events[k].nuisance for slot in slots[:-1] for k in slot.chosen]
    widths = {0 if nuisance is None else nuisance.shape[1] for nuisance in chosen}
    return widths.pop() if len(widths) == 1 else 0


class EventDataset(Dataset[tuple[Tensor, ...]]):
    """Events of a domain for ``torch.utils.data.DataLoader``.

    An item is (features, label, weight) of MC and (features, weight) of a target, which has no
    label; features are (F,) float32, NaN where missing. A list of numbers gives a batch at once,
    as a loader does with ``sampler=BatchSampler(…)`` and ``batch_size=None``.

    Args:
        split: "train", "validation" or "test"; by default all events.
    """

    def __init__(self, events: Source | Target, split: Split | None = None) -> None:
        chosen = events if split is None else events.part(split)
        columns = [torch.from_numpy(chosen.features)]
        if isinstance(chosen, Source):
            columns.append(torch.from_numpy(chosen.label))
        self._columns = (*columns, torch.from_numpy(chosen.weight))

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, index: int | list[int] | slice | Tensor) -> tuple[Tensor, ...]:
        return tuple(column[index] for column in self._columns)
