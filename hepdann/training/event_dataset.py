"""Events of a tensor file for training loops of one's own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..tensors import Source, Split, Target


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
