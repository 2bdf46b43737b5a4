"""Events of a tensor file in a loop of one's own."""

from __future__ import annotations

import numpy as np
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from hepdann.tensors import Source, Target
from hepdann.training import EventDataset


def columns(n=10):
    x = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
    split = (np.arange(n) % 5 == 0).astype(np.uint8)
    return x, np.full(n, 2, np.float32), np.arange(n, dtype=np.uint64), split


def test_mc_has_a_label_and_a_target_none():
    source = Source(*columns(), np.arange(10, dtype=np.int32) % 2, ("b", "s"))
    features, label, weight = EventDataset(source)[3]
    assert (features.tolist(), int(label), float(weight)) == ([9, 10, 11], 1, 2)
    assert len(EventDataset(source, "validation")) == 2
    assert len(EventDataset(Target(*columns()))[0]) == 2


def test_a_loader_takes_single_events_and_whole_batches():
    events = EventDataset(Target(*columns()))
    whole = BatchSampler(SequentialSampler(events), 4, drop_last=False)
    for loader in (DataLoader(events, 4), DataLoader(events, None, sampler=whole)):
        sizes = [tuple(features.shape) for features, _ in loader]
        assert sizes == [(4, 3), (4, 3), (2, 3)]
