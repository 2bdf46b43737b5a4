from __future__ import annotations

import numpy as np
import pytest
import torch

from hepdann.domains import Scaling, resident
from hepdann.tensors import Source, Target
from hepdann.training import Settings


@pytest.fixture
def domains():
    """A small source and a shifted target, with weights of both signs."""

    def make(classes=2, seed=0, n=1200, dtype=torch.float64, heavier=0.0):
        rng = np.random.default_rng(seed)
        label = rng.integers(0, classes, n).astype(np.int32)
        x = rng.normal(size=(n, 4)).astype(np.float32)
        x[:, 0] += label
        split = np.tile([0, 0, 0, 1, 2], n // 5).astype(np.uint8)
        weight = np.where(rng.random(n) < 0.1, -1, 1).astype(np.float32) * 1.7
        weight *= 1 + heavier * label  # signal against background
        ids = np.arange(n, dtype=np.uint64)
        source = Source(x, weight, ids, split, label, tuple(f"c{i}" for i in range(classes)))
        target = Target(
            (x * 1.3 + 0.4)[::-1].copy(), np.ones(n, np.float32), ids + np.uint64(n), split
        )
        scaling = Scaling.fit(source, np.zeros(4))
        return (
            source,
            target,
            scaling,
            [resident(source, scaling, device="cpu", dtype=dtype)],
            [resident(target, scaling, device="cpu", dtype=dtype)],
        )

    return make


@pytest.fixture
def settings():
    def make(**changes):
        given = {"epochs": 5, "batch_size": 64, "steps": 10, "dtype": torch.float64, **changes}
        return Settings(**given)

    return make
