"""Events that are read in blocks, as a calibration or another map changes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tensors import EventBlocks, Target


class ChangedBlocks:
    """Changed events, block by block.

    Args:
        blocks: the events as they are.
        change: makes others of the events of a block, given its number, with the same mean weight.
    """

    def __init__(self, blocks: EventBlocks, change: Callable[[Any, int], Target]) -> None:
        self._blocks, self._change = blocks, change

    def train(self, block: int) -> Target:
        """The training events of a block, a ``Source`` if they are labelled."""
        return self._change(self._blocks.train(block), block)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(n,) training events of each block."""
        return self._blocks.counts

    @property
    def weight(self) -> float:
        """Their mean weight."""
        return self._blocks.weight
