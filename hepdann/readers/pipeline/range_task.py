"""What the threads of a conversion do with a range of entries, and what is counted on the way."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, ReadError
from ...tensors import (
    SPLITS,
    ObjectCounter,
    PreparedRows,
    TensorWriter,
    ViewCounter,
    empty_split,
)
from ..planning.plan import Plan, SamplePlan
from ..prescan import FileScan
from .blocks import Scratch
from .entry_ranges import Unit, UnitReader
from .events import Shifted, make_events
from .friends import ShiftedTree, TruthReader, TruthRows
from .summary import Accumulator, ClassCount, FeatureStats, FileCount

_SENTINELS = (-9.0, -99.0, -999.0, -9999.0, -99999.0)
_HUGE = 1e30  # no measurement, but what a flipped bit in an exponent makes


class RangeCounts:
    """What is counted of entries that were read, of one domain, and of the events that passed.

    Attributes:
        sums: of the weights, and of their squares.
        left_out: (2,) entries outside of the lumi mask, and duplicates.
        statistics: of the features.
        classes: (3, C) events of MC by class, sums of their weights and of the squares.
        splits: events of MC in each.
        pixels: of the images.
        faults: what was left out of the images of all entries, by reason.
        objects: of each collection.
    """

    def __init__(self, plan: Plan, domain: str) -> None:
        names = [feature.name for feature in plan.features]
        indicators = [feature.settings.indicator for feature in plan.features]
        self.entries = self.passed = 0
        self.sums, self.left_out = np.zeros(2), np.zeros(2, np.int64)
        self.statistics = Accumulator(domain, names, indicators)
        self.classes, self.splits = np.zeros((3, len(plan.classes))), np.zeros(len(SPLITS), int)
        self.pixels, self.objects = ViewCounter(plan.views), ObjectCounter(plan.objects)
        self.faults = Counter[str]()

    def add(self, other: RangeCounts) -> None:
        """Add what another one has counted."""
        for name in ("entries", "passed", "sums", "left_out", "classes", "splits", "faults"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.statistics.merge(other.statistics)
        self.pixels.merge(other.pixels)
        self.objects.merge(other.objects)


@dataclass(frozen=True, eq=False)
class Done:
    """One unit of work.

    Attributes:
        rows: the events that passed.
        counted: of all entries.
        scratch: the memory that the rows are in, to be given back with :meth:`Work.release`.
    """

    rows: PreparedRows
    counted: RangeCounts
    scratch: Scratch


class Work:
    """Cuts the files into units and says what is to be done with each.

    Args:
        plan: the conversion.
        truth: the true labels of the data.
        writer: knows how rows look in the file.
        read: cuts a file into units.
    """

    def __init__(
        self, plan: Plan, truth: TruthReader | None, writer: TensorWriter, read: UnitReader
    ) -> None:
        self._plan, self._truth, self._writer, self._read = plan, truth, writer, read
        self._spare: list[Scratch] = []

    def jobs(
        self, files: Sequence[tuple[SamplePlan, FileScan]]
    ) -> Iterator[tuple[int, Callable[[], Done]]]:
        """The work in order, numbered by file; a file is opened when its first unit is drawn."""
        for number, (sample, file) in enumerate(files):
            truth = self._truth if sample.source.domain == "data" else None
            size = self._plan.config.convert.block_size
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
        labels = None if truth is None else truth.labels
        made = make_events(self._plan, sample, file, raw, labels, scratch, shifted)
        block, counted = made.block, RangeCounts(self._plan, sample.source.domain)
        weight = block.weight.astype(np.float64)
        counted.entries, counted.passed, counted.faults = len(raw), len(block), Counter(raw.faults)
        counted.sums += weight.sum(), np.square(weight).sum()
        counted.left_out, counted.statistics = made.left_out, made.statistics
        if block.label is not None:
            cells = counted.classes.shape[1], len(SPLITS)
            cell = block.label * len(SPLITS) + made.split
            events = np.bincount(cell, minlength=math.prod(cells)).reshape(cells)
            counted.splits += events.sum(axis=0)
            counted.classes[0] += events.sum(axis=1)
            for row, powers in zip(counted.classes[1:], (weight, weight**2), strict=True):
                row += np.bincount(block.label, powers, minlength=len(row))
        if block.views:
            counted.pixels.add(block.views)
        if block.objects:
            counted.objects.add(block.objects, made.truncated)
        rows = self._writer.prepare(sample.source.domain, block, made.split)
        return Done(rows, counted, scratch)


def _fail(error: ReadError) -> NoReturn:
    raise error


class Tally:
    """The counts of a conversion.

    Args:
        plan: what it does.

    Attributes:
        of: what is counted, by domain.
        files: of each that was read.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.of = {domain: RangeCounts(plan, domain) for domain in plan.names}
        self.files: list[FileCount] = []

    def add(self, sample: SamplePlan, file: FileScan, counted: RangeCounts) -> None:
        """Add a file."""
        domain, name = sample.source.domain, sample.source.config.name
        self.of[domain].add(counted)
        of = domain, name, file.path, file.tree, file.entries, counted.passed
        weight, weight2 = counted.sums.tolist()
        self.files.append(FileCount(*of, weight, weight2, *map(int, counted.left_out)))

    @property
    def features(self) -> tuple[FeatureStats, ...]:
        """Statistics of each feature of each domain."""
        return tuple(one for counted in self.of.values() for one in counted.statistics.stats())

    @property
    def class_counts(self) -> tuple[ClassCount, ...]:
        """Events and weights of each class of MC."""
        figures = self.of["mc"].classes.T.tolist() if "mc" in self.of else []
        return tuple(
            ClassCount(self._plan.classes[i], i, int(events), weight, math.sqrt(weight2))
            for i, (events, weight, weight2) in enumerate(figures)
        )

    def check(self) -> None:
        """Refuse what only the whole stream can tell.

        Raises:
            ConfigError: no events, no finite value of a feature, no object of a collection, an
                empty class or split, or a class of negative weight.
        """
        for domain, counted in self.of.items():
            of_domain = [file for file in self.files if file.domain == domain]
            what = {"mc": "MC", "data": "data"}[domain]
            if not counted.passed:
                self._nothing_passed(domain, what, counted.entries)
            if empty := counted.statistics.empty():
                raise ConfigError(
                    f"feature '{empty[0]}' has no finite value in {what}",
                    where=next(file.path for file in of_domain if file.passed),
                    mend="leave it out of the features, or check its sentinel (missing)",
                )
            if without := counted.objects.without():
                raise ConfigError(
                    f"no object of '{without[0]}' is in {what}",
                    where=f"convert.objects.{without[0]}",
                    mend="loosen the cut, or leave it out",
                )
        for one in self.class_counts:
            if not one.events and not self._plan.may_be_empty:
                raise ConfigError(
                    f"class '{one.name}' (label {one.label}) has no events",
                    mend="loosen the cut, or correct the classes",
                )
            if one.events and one.sum_weight <= 0:
                raise ConfigError(
                    f"the weights of class '{one.name}' add up to {one.sum_weight:g}",
                    mend="a class needs a positive sum: check weight and scale (a template that "
                    "is subtracted needs the one that it is subtracted from)",
                )
        if "mc" in self.of:
            self._check_splits(self.of["mc"].splits)
            for name, labelled in self.of["mc"].objects.labelled.items():
                if not any(count for number, count in labelled.items() if number >= 0):
                    raise ConfigError(
                        f"no object of '{name}' in MC has one of the values of its classes",
                        where=f"convert.objects.{name}.label",
                        mend="name the values that its list holds",
                    )

    def _check_splits(self, splits: NDArray[np.int64]) -> None:
        split = self._plan.config.convert.split
        shares = (split.train, split.validation, split.test) if split.by is None else (1, 1, 1)
        empty = empty_split(splits, shares)
        if empty:
            ids = ", ".join(dict.fromkeys(n for s in self._plan.samples for n in s.id_branches))
            if split.by is not None:
                raise ConfigError(
                    f"no event falls into the {empty} split: of '{split.by}' 0 is "
                    "test, 1 is validation, all else train",
                    where="convert.split.by",
                )
            raise ConfigError(
                f"no event falls into the {empty} split: {ids} do not distinguish events",
                where="convert.event_id",
                mend="name the branches that do (--event-id)",
            )

    def _nothing_passed(self, domain: str, what: str, read: int) -> None:
        samples = [s for s in self._plan.samples if s.source.domain == domain]
        if not read:
            raise ConfigError(
                f"the {what} files hold no events", where=samples[0].source.files[0].path
            )
        mask, outside = self._plan.config.convert.lumi_mask, self.of[domain].left_out[0]
        if mask is not None and outside == read:
            raise ConfigError(
                f"certifies none of {read} {what} events",
                where=f"convert.lumi_mask {mask}",
                mend="take the mask of these runs",
            )
        cuts = dict.fromkeys(s.cut.text for s in samples if s.cut is not None)
        raise ConfigError(
            f"none of {read} {what} events passes"
            + (f", {outside} are outside of the lumi mask" if outside else ""),
            where="cut " + ", ".join(f"'{cut}'" for cut in cuts),
            mend="loosen the cut",
        )

    def image_notes(self) -> list[str]:
        """What is wrong with images, in numbers; classes that the detector has and the MC not.

        Of objects, how many are of which class, and how many events have more than are kept.
        """
        most = {one.name: one.most for one in self._plan.objects}
        notes = [
            f"{domain}: {count:,} events ({100 * count / counted.passed:.2g} %) have more than "
            f"{most[name]} {name}, of which the first are kept"
            for domain, counted in self.of.items()
            for name, count in counted.objects.truncated.items()
            if count
        ]
        if "mc" in self.of:
            notes += self._objects_by_class(self.of["mc"].objects)
        for domain, counted in self.of.items():
            notes += [f"{domain}: {count:,} {reason}" for reason, count in counted.faults.items()]
            if counted.pixels.empty:
                notes.append(f"{domain}: {counted.pixels.empty:,} events have empty images")
        absent = [one.name for one in self.class_counts if not one.events]
        if self._plan.may_be_empty and absent:
            notes.append(f"no event is in {', '.join(absent)}")
        return notes

    @staticmethod
    def _objects_by_class(objects: ObjectCounter) -> list[str]:
        notes = []
        for one in objects.collections:
            if one.name in objects.labelled:
                count = objects.labelled[one.name]
                named = [f"{title}: {count[n]:,}" for n, title in enumerate(one.classes)]
                named += [f"of none: {count[-1]:,}"] if count[-1] else []
                notes.append(f"mc: classes of {one.name}: {', '.join(named)}")
        return notes

    def suspicions(self) -> list[str]:
        """A minimum of exactly -999 or 1e38 is rarely measured; a constant tells nothing apart."""
        notes = {}
        for counted in self.of.values():
            for one in counted.statistics.stats():
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
