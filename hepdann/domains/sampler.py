"""Which events a step sees: a pure function of (seed, epoch), so that nothing need be saved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SOURCE, TARGET, STATISTICS, AUXILIARY = 0, 1, 2, 3  # auxiliaries: 3, 4, …


def epoch_order(n: int, length: int, *, seed: int, epoch: int, stream: int) -> NDArray[np.int64]:
    """Event indices of one epoch: a random permutation of ``n``, repeated until ``length``.

    Args:
        length: indices needed; a smaller domain is gone through several times, each time in
            another order.
        epoch: counted from 0.
    """
    generator = np.random.Generator(
        np.random.Philox(np.random.SeedSequence([seed, epoch, stream, 0x5A3]))
    )
    rounds = -(-length // n)
    order = [generator.permutation(n) for _ in range(rounds)]
    return (order[0] if rounds == 1 else np.concatenate(order))[:length].astype(
        np.int64, copy=False
    )


def auto_batch_size(n_source: int) -> int:
    """A power of two from 128 to 4096 that gives about 100 steps an epoch."""
    size = 128
    while size < 4096 and n_source // size > 150:
        size *= 2
    return max(1, min(size, n_source))
