"""What is counted of features while the blocks pass, and what a conversion did, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compiled import function
from ...tensors import ChannelSummary, Count, ObjectSummary, count_of
from ..planning.features import LeftOut
from ..planning.input_samples import SkippedFile

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


_AT_ONCE = 1 << 13  # values in a product with weights: fewer than BLAS starts threads for


@dataclass(frozen=True)
class FileCount:
    """Entries of one file, read for one sample; the sums are over the events that passed.

    Of the others, ``outside_mask`` are not in the lumi mask; of those in it that pass the cut,
    ``duplicates`` are events that came before.
    """

    domain: str
    sample: str
    path: str
    tree: str
    read: int
    passed: int
    sum_weight: float
    sum_weight2: float
    outside_mask: int = 0
    duplicates: int = 0


@dataclass(frozen=True)
class ClassCount:
    """MC events of one class; ``error`` is that of the sum of weights, √Σw²."""

    name: str
    label: int
    events: int
    sum_weight: float
    error: float


@dataclass(frozen=True)
class FeatureStats:
    """One feature in one domain, after the cut.

    Attributes:
        valid: number of finite values; ``minimum``, ``maximum`` and ``mean`` are of these, NaN if
            there are none.
        mean: by event weight; NaN also where the weights do not add up to more than 0.
        missing: values that carried the sentinel.
        nonfinite: other values that are NaN or infinite.
    """

    name: str
    domain: str
    valid: int
    minimum: float
    maximum: float
    mean: float
    missing: int
    nonfinite: int


@dataclass(frozen=True)
class ConversionSummary:
    """What :func:`.convert` did.

    Attributes:
        output: the tensor file.
        files: events read and passed, per file and sample.
        classes: MC events per class.
        features: statistics per feature, of MC first.
        impute: what a network sees in place of a missing value, per column of the tensor file.
        columns: the columns of the tensor file, indicators included.
        spectators: their names.
        label: text of the label; ``None`` if the samples have classes.
        left_out: branches that are no features, and why.
        notes: what the user should know.
        warnings: what the user has to decide: a line for each.
        skipped: bad files, of which no event was taken.
        images: domain to what its images hold; empty where events have none.
        objects: domain to what its objects are; likewise.
    """

    output: Path
    files: tuple[FileCount, ...]
    classes: tuple[ClassCount, ...]
    features: tuple[FeatureStats, ...]
    impute: tuple[float, ...]
    columns: tuple[str, ...]
    spectators: tuple[str, ...]
    label: str | None
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    images: Mapping[str, tuple[ChannelSummary, ...]] = field(default_factory=dict)
    objects: Mapping[str, tuple[ObjectSummary, ...]] = field(default_factory=dict)

    def read(self, domain: str) -> int:
        """Entries read in a domain."""
        return sum(file.read for file in self.files if file.domain == domain)

    def passed(self, domain: str) -> int:
        """Events of a domain in the tensor file."""
        return sum(file.passed for file in self.files if file.domain == domain)

    def yields(self, domain: str) -> dict[str, Count]:
        """Events and the sum of their weights of each sample of a domain."""
        samples: dict[str, list[FileCount]] = {}
        for file in self.files:
            if file.domain == domain:
                samples.setdefault(file.sample, []).append(file)
        return {name: _sum_of(files) for name, files in samples.items()}

    def total(self, domain: str) -> Count:
        """Events and the sum of their weights of a domain."""
        return _sum_of([file for file in self.files if file.domain == domain])

    def of(self, domain: str) -> tuple[FeatureStats, ...]:
        """The statistics of one domain."""
        return tuple(stats for stats in self.features if stats.domain == domain)


def _sum_of(files: Sequence[FileCount]) -> Count:
    columns = ((file.passed, file.sum_weight, file.sum_weight2) for file in files)
    events, sum_weight, sum_weight2 = map(sum, zip(*columns, strict=True))
    return count_of(events, sum_weight, sum_weight2)


class Accumulator:
    """Statistics of the features of one domain, fed tile by tile.

    A tile is summed in float64, the tiles in extended precision, and means are rounded to float32:
    so the size of tiles and blocks does not show in what is written.
    """

    def __init__(self, domain: str, features: Sequence[str], indicators: Sequence[bool]) -> None:
        self.domain = domain
        before = np.cumsum(indicators, dtype=np.int64) - np.asarray(indicators, np.int64)
        self._columns = np.arange(len(indicators)) + before
        self._features = tuple(features)
        count = len(self._features)
        self._low = np.full(count, np.inf)
        self._high = np.full(count, -np.inf)
        self._sum = np.zeros((2, count), dtype=np.longdouble)  # of all events, of the training ones
        self._valid = np.zeros((2, count), dtype=np.int64)
        self._missing = np.zeros(count, dtype=np.int64)
        self._nonfinite = np.zeros(count, dtype=np.int64)
        self._weighted = np.zeros((2, count), dtype=np.longdouble)  # Σ w x and Σ w of finite values

    def weigh(self, columns: NDArray[np.float32], weight: NDArray[np.float32]) -> None:
        """Add the weights of all events that were counted so far, for the means.

        Args:
            columns: (n, columns) features and indicators; NaN is left out.
            weight: (n,) of these events.
        """
        if len(weight) and weight.min() == weight.max():  # no second look at the features
            factor = float(weight[0])
            self._weighted[0], self._weighted[1] = factor * self._sum[0], factor * self._valid[0]
            return
        rows = max(1, _AT_ONCE // columns.shape[1])
        whole = len(weight) - len(weight) % rows
        with np.errstate(invalid="ignore", over="ignore"):
            parts = weight[:whole].reshape(-1, 1, rows) @ columns[:whole].reshape(
                -1, rows, columns.shape[1]
            )
            sums = parts.sum(axis=(0, 1), dtype=np.float64) + weight[whole:] @ columns[whole:]
        self._weighted[0] = sums[self._columns]
        self._weighted[1] = weight.sum(dtype=np.float64)
        for number in np.flatnonzero(~np.isfinite(sums[self._columns])):
            values = columns[:, self._columns[number]].astype(np.float64)
            finite = np.isfinite(values)
            share = weight[finite].astype(np.float64)
            self._weighted[:, number] = share @ values[finite], share.sum()

    def add(self, figures: Figures, events: int, missing: NDArray[np.int64]) -> None:
        """Count a tile.

        Args:
            figures: of its values that are finite.
            events: how many it has.
            missing: (features,) how many values carried the sentinel.
        """
        self._low = np.minimum(self._low, figures.low)
        self._high = np.maximum(self._high, figures.high)
        self._sum += figures.sums
        self._valid += figures.valid
        self._missing += missing
        self._nonfinite += events - figures.valid[0] - missing

    def merge(self, other: Accumulator) -> None:
        """Add what another one has counted."""
        self._low = np.minimum(self._low, other._low)
        self._high = np.maximum(self._high, other._high)
        for sums, others in (
            (self._sum, other._sum),
            (self._valid, other._valid),
            (self._missing, other._missing),
            (self._nonfinite, other._nonfinite),
            (self._weighted, other._weighted),
        ):
            sums += others

    def empty(self) -> list[str]:
        """The features without one finite value."""
        return [n for n, valid in zip(self._features, self._valid[0], strict=True) if not valid]

    def means(self) -> list[float]:
        """Mean over the training split, or over all events where that has no finite value."""
        rows = np.where(self._valid[1] > 0, 1, 0)
        picks = np.arange(len(rows))
        means = self._sum[rows, picks] / np.maximum(self._valid[rows, picks], 1)
        return [float(np.float32(mean)) for mean in means]

    def stats(self) -> tuple[FeatureStats, ...]:
        """The statistics of each feature."""
        return tuple(self._one(number) for number in range(len(self._features)))

    def _one(self, number: int) -> FeatureStats:
        valid = int(self._valid[0, number])
        total, weight = self._weighted[:, number]
        nan = float("nan")
        values: dict[str, Any] = {
            "minimum": float(self._low[number]) if valid else nan,
            "maximum": float(self._high[number]) if valid else nan,
            "mean": float(total / weight) if weight > 0 else nan,
        }
        return FeatureStats(
            name=self._features[number],
            domain=self.domain,
            valid=valid,
            missing=int(self._missing[number]),
            nonfinite=int(self._nonfinite[number]),
            **values,
        )
