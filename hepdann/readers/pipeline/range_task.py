"""What the threads of a conversion do with a range of entries, and what is counted on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ...config import ConversionConfig
from ...errors import ConfigError, ReadError
from ...tensors import SPLITS, ObjectCounter, PreparedRows, TensorWriter, View, ViewCounter
from ..planning.decision import Decision
from ..planning.plan import Plan, SamplePlan
from ..prescan import FileScan
from .blocks import Scratch
from .companions import ShiftedTree, TruthFile, TruthRows
from .entry_ranges import Unit, UnitReader
from .events import Shifted, make_events
from .summary import Accumulator, ClassCount, FeatureStats, FileCount

_SENTINELS = (-9.0, -99.0, -999.0, -9999.0, -99999.0)
_HUGE = 1e30  # no measurement, but what a flipped bit in an exponent makes
_ENOUGH = 50  # events expected in a split, from which on an empty one is no chance


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


_Saved = tuple[dict[str, Accumulator], Counts, dict[str, ImageCounts], dict[str, ObjectCounter]]


class Tally:
    """The counts of a conversion.

    Args:
        made: what the conversion does.

    Attributes:
        stats: of the features, by domain.
        counts: of the events of each class.
        images: of the images, by domain; empty without images.
        objects: of the objects, by domain; empty without objects.
    """

    def __init__(self, made: Decision) -> None:
        self._made = made
        features, domains = made.plan.features, made.plan.names
        names = [feature.name for feature in features]
        indicators = [feature.settings.indicator for feature in features]
        views = () if made.images is None else made.images.views
        self.stats = {domain: Accumulator(domain, names, indicators) for domain in domains}
        self.counts = Counts.zero(len(made.classes))
        self.images = {domain: ImageCounts(views) for domain in domains if views}
        objects = made.plan.objects
        self.objects = {domain: ObjectCounter(objects) for domain in domains if objects}

    def add(self, result: Done) -> None:
        """Add a range of entries."""
        self.stats[result.rows.domain].merge(result.statistics)
        self.counts.add(result.counts)
        if result.images is not None:
            self.images[result.rows.domain].add(result.images)
        if result.objects is not None:
            self.objects[result.rows.domain].merge(result.objects)

    def saved(self) -> _Saved:
        """The counts as they are now, for :meth:`restore`."""
        return deepcopy((self.stats, self.counts, self.images, self.objects))

    def restore(self, saved: _Saved) -> None:
        """Forget what was added since."""
        self.stats, self.counts, self.images, self.objects = saved

    @property
    def features(self) -> tuple[FeatureStats, ...]:
        """Statistics of each feature of each domain."""
        return tuple(one for stats in self.stats.values() for one in stats.stats())

    @property
    def class_counts(self) -> tuple[ClassCount, ...]:
        """Events and weights of each class of MC."""
        counts = self.counts
        return tuple(
            ClassCount(
                name,
                i,
                int(counts.events[i]),
                float(counts.sum_weight[i]),
                math.sqrt(counts.sum_weight2[i]),
            )
            for i, name in enumerate(self._made.classes)
            if "mc" in self.stats
        )

    def check(self, files: Sequence[FileCount]) -> None:
        """Refuse what only the whole stream can tell.

        Args:
            files: that were read.

        Raises:
            ConfigError: no events, no finite value of a feature, no object of a collection, an
                empty class or split, or a class of negative weight.
        """
        for domain, stats in self.stats.items():
            of_domain = [file for file in files if file.domain == domain]
            what = {"mc": "MC", "data": "data"}[domain]
            if not any(file.passed for file in of_domain):
                self._nothing_passed(domain, what, sum(file.read for file in of_domain))
            if stats.empty():
                raise ConfigError(
                    f"feature '{stats.empty()[0]}' has no finite value in {what}",
                    where=next(file.path for file in of_domain if file.passed),
                    mend="leave it out of the features, or check its sentinel (missing)",
                )
            without = self.objects[domain].without() if self.objects else []
            if without:
                raise ConfigError(
                    f"no object of '{without[0]}' is in {what}",
                    where=f"convert.objects.{without[0]}",
                    mend="loosen the cut, or leave it out",
                )
        for index, name in enumerate(self._made.classes if "mc" in self.stats else ()):
            if not self.counts.events[index]:
                if self._made.may_be_empty:
                    continue
                raise ConfigError(
                    f"class '{name}' (label {index}) has no events",
                    mend="loosen the cut, or correct the classes",
                )
            if self.counts.sum_weight[index] <= 0:
                raise ConfigError(
                    f"the weights of class '{name}' add up to {self.counts.sum_weight[index]:g}",
                    mend="a class needs a positive sum: check weight and scale (a template that "
                    "is subtracted needs the one that it is subtracted from)",
                )
        self._check_splits()

    def _check_splits(self) -> None:
        split, splits = self._made.config.convert.split, self.counts.splits
        shares = [split.train, split.validation, split.test] if split.by is None else [1, 1, 1]
        expected = np.array(shares) * splits.sum()
        empty = np.flatnonzero((splits == 0) & (expected > _ENOUGH))
        if len(empty):
            ids = ", ".join(
                dict.fromkeys(n for s in self._made.plan.samples for n in s.id_branches)
            )
            if split.by is not None:
                raise ConfigError(
                    f"no event falls into the {SPLITS[int(empty[0])]} split: of '{split.by}' 0 is "
                    "test, 1 is validation, all else train",
                    where="convert.split.by",
                )
            raise ConfigError(
                f"no event falls into the {SPLITS[int(empty[0])]} split: {ids} do "
                "not distinguish events",
                where="convert.event_id",
                mend="name the branches that do (--event-id)",
            )

    def _nothing_passed(self, domain: str, what: str, read: int) -> None:
        samples = [s for s in self._made.plan.samples if s.source.domain == domain]
        if not read:
            raise ConfigError(
                f"the {what} files hold no events", where=samples[0].source.files[0].path
            )
        cuts = dict.fromkeys(s.cut.text for s in samples if s.cut is not None)
        raise ConfigError(
            f"none of {read} {what} events passes",
            where="cut " + ", ".join(f"'{cut}'" for cut in cuts),
            mend="loosen the cut",
        )

    def image_notes(self) -> list[str]:
        """What is wrong with images, in numbers; classes that the detector has and the MC not.

        Of objects, how many events have more than are kept.
        """
        most = {one.name: one.most for one in self._made.plan.objects}
        notes = [
            f"{domain}: {count:,} events ({100 * count / counter.events:.2g} %) have more than "
            f"{most[name]} {name}, of which the first are kept"
            for domain, counter in self.objects.items()
            for name, count in counter.truncated.items()
            if count
        ]
        for domain, counts in self.images.items():
            notes += [f"{domain}: {count:,} {reason}" for reason, count in counts.faults.items()]
            if counts.pixels.empty:
                notes.append(f"{domain}: {counts.pixels.empty:,} events have empty images")
        counted = zip(self._made.classes, self.counts.events, strict=True)
        absent = [name for name, events in counted if not events]
        if self._made.may_be_empty and absent and "mc" in self.stats:
            notes.append(f"no event is in {', '.join(absent)}")
        return notes

    def suspicions(self) -> list[str]:
        """A minimum of exactly -999 or 1e38 is rarely measured; a constant tells nothing apart."""
        notes = {}
        for stats in self.stats.values():
            for one in stats.stats():
                if one.minimum in _SENTINELS and one.name not in notes:
                    notes[one.name] = (
                        f"{one.name}: the minimum is {one.minimum:g}; if that marks a missing "
                        f"value, say so (--missing={one.minimum:g})"
                    )
                elif max(abs(one.minimum), abs(one.maximum)) > _HUGE and one.name not in notes:
                    notes[one.name] = (
                        f"{one.name}: values reach from {one.minimum:g} to {one.maximum:g}; a "
                        "damaged file that has no checksums reads like this"
                    )
                elif one.domain == "mc" and one.minimum == one.maximum:
                    notes[one.name] = f"{one.name} is {one.minimum:g} in all of MC"
        return list(notes.values())
