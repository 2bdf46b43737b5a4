"""What the threads of a conversion do: a range of entries in, checked rows of the file out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ...config import ConversionConfig
from ...errors import ReadError
from ...tensors import SPLITS, ObjectCounter, PreparedRows, TensorWriter, View, ViewCounter
from ..planning.plan import Plan, SamplePlan
from ..prescan import FileScan
from .buffers import Scratch
from .entry_ranges import Unit, UnitReader
from .events import Shifted, make_events
from .shifted_tree import ShiftedTree
from .summary import Accumulator
from .truth_files import TruthFile, TruthRows


@dataclass
class Counts:
    """What is counted of MC events, by class and by split."""

    events: NDArray[np.int64]
    sum_weight: NDArray[np.float64]
    sum_weight2: NDArray[np.float64]
    splits: NDArray[np.int64]

    @classmethod
    def zero(cls, classes: int) -> Counts:
        """Nothing yet."""
        events, splits = np.zeros(classes, np.int64), np.zeros(len(SPLITS), np.int64)
        return cls(events, np.zeros(classes), np.zeros(classes), splits)

    def add(self, other: Counts) -> None:
        """Add what another one has counted."""
        self.events += other.events
        self.sum_weight += other.sum_weight
        self.sum_weight2 += other.sum_weight2
        self.splits += other.splits


class ImageCounts:
    """What is counted of the images of one domain.

    Attributes:
        pixels: of the events that passed.
        faults: what was left out of the images of all entries, by reason.
    """

    def __init__(self, views: Sequence[View]) -> None:
        self.pixels = ViewCounter(views)
        self.faults: dict[str, int] = {}

    def add(self, other: ImageCounts) -> None:
        """Add what another one has counted."""
        self.pixels.merge(other.pixels)
        for reason, count in other.faults.items():
            self.faults[reason] = self.faults.get(reason, 0) + count


@dataclass(frozen=True, eq=False)
class Done:
    """One unit of work.

    Attributes:
        entries: how many were read.
        rows: the events that passed.
        statistics: of their features.
        counts: of classes and splits.
        sums: of the weights, and of their squares.
        left_out: (2,) entries outside of the lumi mask, and duplicates.
        images: of pixels; ``None`` where events have no images.
        objects: of objects; ``None`` where events have none.
        scratch: the memory that the rows are in, to be given back with :meth:`Work.release`.
    """

    entries: int
    rows: PreparedRows
    statistics: Accumulator
    counts: Counts
    sums: NDArray[np.float64]
    left_out: NDArray[np.int64]
    images: ImageCounts | None
    objects: ObjectCounter | None
    scratch: Scratch


class Work:
    """Cuts the files into units and says what is to be done with each.

    Args:
        plan: the conversion.
        config: its settings.
        classes: class names by label.
        truth: the true labels of the data.
        writer: knows how rows look in the file.
        read: cuts a file into units.
    """

    def __init__(
        self,
        plan: Plan,
        config: ConversionConfig,
        classes: Sequence[str],
        truth: TruthFile | None,
        writer: TensorWriter,
        read: UnitReader,
    ) -> None:
        self._plan, self._convert, self._classes = plan, config.convert, classes
        self._truth, self._writer, self._read = truth, writer, read
        self._spare: list[Scratch] = []

    def jobs(
        self, files: Sequence[tuple[SamplePlan, FileScan]]
    ) -> Iterator[tuple[int, Callable[[], Done]]]:
        """The work in order, numbered by file; a file is opened when its first unit is drawn."""
        for number, (sample, file) in enumerate(files):
            truth = self._truth if sample.source.domain == "data" else None
            size = self._convert.block_size
            shifted = {
                name: ShiftedTree(sample, file, variation, self._read, size).features
                for name, variation in sample.variations.items()
                if variation.tree is not None
            }
            branches = [*sample.branches, *(truth.ids if truth is not None else ())]
            try:
                for unit in self._read(file, list(dict.fromkeys(branches)), size):
                    # the truth runs along the data in order, and this is the one place with order
                    rows = None if truth is None else truth.take(unit.stop - unit.start)
                    yield number, partial(self._do, sample, file, unit, rows, shifted)
            except ReadError as error:
                yield number, partial(_fail, error)  # told when it is the turn of this file

    def release(self, done: Done) -> None:
        """Use the memory of a unit again; its rows are overwritten."""
        done.scratch.clear()
        self._spare.append(done.scratch)

    def _do(
        self,
        sample: SamplePlan,
        file: FileScan,
        unit: Unit,
        truth: TruthRows | None,
        shifted: Mapping[str, Shifted],
    ) -> Done:
        try:
            scratch = self._spare.pop()
        except IndexError:
            scratch = Scratch()
        raw = unit.read(scratch)
        if truth is not None:
            truth.check(raw.columns, file, raw.start)
        events = make_events(
            self._plan,
            sample,
            file,
            raw,
            self._classes,
            self._convert.split,
            None if truth is None else truth.labels,
            scratch,
            shifted,
        )
        block, counts = events.block, Counts.zero(len(self._classes))
        weight = block.weight.astype(np.float64)
        if block.label is not None:
            size = len(self._classes)
            counts = Counts(
                np.bincount(block.label, minlength=size),
                np.bincount(block.label, weight, minlength=size).astype(np.float64),
                np.bincount(block.label, weight**2, minlength=size).astype(np.float64),
                np.bincount(events.split, minlength=len(SPLITS)),
            )
        rows = self._writer.prepare(sample.source.domain, block, events.split)
        images = None
        if self._writer.layout.views:
            images = ImageCounts(self._writer.layout.views)
            images.pixels.add(block.views)
            images.faults = raw.faults
        objects = None
        if self._writer.layout.objects:
            objects = ObjectCounter(self._writer.layout.objects)
            objects.add(block.objects, events.truncated)
        sums = np.array([weight.sum(), np.square(weight).sum()])
        return Done(
            len(raw), rows, events.statistics, counts, sums, events.left_out, images, objects,
            scratch,
        )  # fmt: skip


def _fail(error: ReadError) -> NoReturn:
    raise error
