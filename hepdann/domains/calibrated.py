"""MC that is read in blocks, as a calibration maps and weights it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..calibration import Calibration
from ..tensors import EventBlocks, Source


class CalibratedBlocks:
    """Calibrated MC, block by block."""

    def __init__(self, blocks: EventBlocks, calibration: Calibration) -> None:
        self._blocks, self._calibration = blocks, calibration

    def train(self, block: int) -> Source:
        """The training events of a block."""
        events = self._blocks.train(block)
        assert isinstance(events, Source)
        return self._calibration.calibrated(events, block)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(n,) training events of each block."""
        return self._blocks.counts

    @property
    def weight(self) -> float:
        """Their mean weight: other class fractions leave it as it is."""
        return self._blocks.weight
