"""What is counted while events pass, and what the counts show to be wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy

import numpy as np

from ...errors import ConfigError
from ...tensors import SPLITS, ObjectCounter
from ..planning.decision import Decision
from .range_task import Counts, Done, ImageCounts
from .summary import Accumulator, ClassCount, FeatureStats, FileCount

_SENTINELS = (-9.0, -99.0, -999.0, -9999.0, -99999.0)
_HUGE = 1e30  # no measurement, but what a flipped bit in an exponent makes
_ENOUGH = 50  # events expected in a split, from which on an empty one is no chance

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
