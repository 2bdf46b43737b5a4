"""Toy samples whose mismodelling is known."""

from __future__ import annotations

import numpy as np
import pytest

from hepdann.tensors import Source, Target


@pytest.fixture(scope="session")
def toys():
    """Make MC and data of n events each: data are other events, of a signal fraction, mapped."""

    def make(n, change=lambda x, _: x, fraction=0.4, seed=1):
        generator = np.random.default_rng(seed)

        def events(share):
            label = (generator.random(n) < share).astype(np.int32)
            x = generator.beta(2.0 + 2.0 * label[:, None], 4.0, (n, 2))
            x[:, 1] = 0.7 * x[:, 1] + 0.3 * x[:, 0]
            return x, label

        common = {"weight": np.ones(n, np.float32), "split": (np.arange(n) % 2).astype(np.uint8)}
        x, label = events(0.4)
        mc = Source(
            features=x.astype(np.float32),
            event_id=np.arange(n, dtype=np.uint64),
            label=label,
            classes=("background", "signal"),
            **common,
        )
        moved = change(events(fraction)[0], generator).astype(np.float32)
        data = Target(features=moved, event_id=np.arange(n, 2 * n, dtype=np.uint64), **common)
        return mc, data

    return make
