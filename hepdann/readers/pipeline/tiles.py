"""Features of some events: counted, and laid out event by event.

The inner loop of a conversion. ``tiles.c`` does it in one pass, without the interpreter's lock;
where hepdann was installed without a C compiler, NumPy does the same in several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...compiled import function

_PADDING = 16  # columns of a tile must not lie a power of two apart: they would share cache lines


@dataclass(frozen=True, eq=False)
class Figures:
    """What is counted of some events, feature by feature; of finite values alone.

    Attributes:
        low: (features,) smallest values; infinite where there are none.
        high: (features,) largest values.
        sums: (2, features) of all events, and of the training split.
        valid: (2, features) how many values these are.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sums: NDArray[np.float64]
    valid: NDArray[np.int64]


class Tiles:
    """Lays out the features of events that come tile by tile; for one thread.

    Args:
        indicators: for each feature, whether a column of 0 and 1 after its own says that it is not
            finite.
        most: events at a time.
    """

    def __init__(self, indicators: Sequence[bool], most: int) -> None:
        self._indicators = np.array(indicators, np.uint8)
        before = np.cumsum(self._indicators, dtype=np.int64) - self._indicators
        self._columns = (np.arange(len(indicators)) + before).astype(np.int64)
        self._rows = None if compiled() else np.empty((len(indicators), most + _PADDING), "f4")

    def lay_out(
        self,
        features: Sequence[NDArray[np.float32]],
        train: NDArray[np.float64],
        out: NDArray[np.float32],
    ) -> Figures:
        """Fill the columns of some events.

        Args:
            features: (n,) values of each, contiguous, in either byte order.
            train: (n,) 1 for events of the training split, 0 for others.
            out: (n, columns) C-ordered; NaN where a value is not finite.
        """
        if self._rows is None:
            return self._at_once(features, train, out)
        tile = self._rows[:, : len(train)]
        for row, values in zip(tile, features, strict=True):
            row[...] = values
        figures = _count(tile, train)
        if not self._indicators.any():
            out[...] = tile.T
            return figures
        for column, values, indicator in zip(self._columns, tile, self._indicators, strict=True):
            out[:, column] = values
            if indicator:
                out[:, column + 1] = np.isnan(values)
        return figures

    def _at_once(
        self,
        features: Sequence[NDArray[np.float32]],
        train: NDArray[np.float64],
        out: NDArray[np.float32],
    ) -> Figures:
        count = len(features)
        addresses = np.array([values.ctypes.data for values in features], np.uintp)
        swap = np.array([not values.dtype.isnative for values in features], np.uint8)
        figures, valid = np.zeros((4, count)), np.zeros((2, count), np.int64)
        figures[0], figures[1] = np.inf, -np.inf
        sizes = count, out.shape[1], len(out)
        lay_out = _lay_out()
        assert lay_out is not None
        lay_out(
            addresses, swap, self._columns, self._indicators, *sizes, train, out, figures, valid
        )
        return Figures(figures[0], figures[1], figures[2:], valid)


def _count(tile: NDArray[np.float32], train: NDArray[np.float64]) -> Figures:
    """Count a tile of (features, n), and leave NaN in it wherever a value is not finite."""
    low, high = tile.min(axis=1), tile.max(axis=1)
    wide = tile.astype(np.float64)
    valid = np.empty((2, len(tile)), np.int64)
    valid[0], valid[1] = tile.shape[1], np.count_nonzero(train)
    # a NaN or an infinity shows in the extremes, so that clean rows need no further look
    for row in np.flatnonzero(~(np.isfinite(low) & np.isfinite(high))):
        finite = np.isfinite(tile[row])
        tile[row, ~finite] = np.nan
        wide[row, ~finite] = 0
        valid[:, row] = np.count_nonzero(finite), np.count_nonzero(train[finite])
        low[row] = tile[row].min(where=finite, initial=np.inf)
        high[row] = tile[row].max(where=finite, initial=-np.inf)
    sums = np.stack([wide.sum(axis=1), np.einsum("fn,n->f", wide, train)])
    return Figures(low.astype(np.float64), high.astype(np.float64), sums, valid)


def compiled() -> bool:
    """Whether ``tiles.c`` was compiled when hepdann was installed."""
    return _lay_out() is not None


def _lay_out() -> Callable[..., None] | None:
    real, wide, byte = np.float32, np.float64, np.uint8
    return function(
        "lay_out", np.uintp, byte, np.int64, byte, int, int, int, wide, real, wide, np.int64
    )
