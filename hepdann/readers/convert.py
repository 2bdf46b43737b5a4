"""ROOT files, or images, to a tensor file: look, plan, stream, check, write."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..config import Config
from ..errors import ConfigError, ReadError
from ..provenance import describe_file, provenance
from ..tensors import SPLITS, TensorWriter, open_tensors
from .images import image_units, read_tables
from .pictures import convert_pictures, picture_ref, pictures_of
from .pipeline.blocks import BlockReader
from .pipeline.entry_ranges import Reader, UnitReader, choose_reader
from .pipeline.events import column_names
from .pipeline.ordered_threads import Stream, default_threads
from .pipeline.range_task import Counts, Done, ImageCounts, Work
from .pipeline.summary import Accumulator, ClassCount, ConversionSummary, FileCount
from .pipeline.truth_files import TruthFile
from .planning.bad_files import Skips
from .planning.decision import Decision, decide
from .planning.earlier_file import Like
from .planning.earlier_file import like as take_over
from .planning.hints import doubts
from .planning.input_samples import gather
from .planning.plan import SamplePlan
from .prescan import FileScan
from .root.baskets import Locations
from .root.opening import reading

__all__ = ["convert"]

_SENTINELS = (-9.0, -99.0, -999.0, -9999.0, -99999.0)
_HUGE = 1e30  # no measurement, but what a flipped bit in an exponent makes
_ENOUGH = 50  # events expected in a split, from which on an empty one is no chance


def convert(
    mc: Sequence[str] = (),
    data: Sequence[str] = (),
    *,
    output: Path,
    config: Config | None = None,
    truth: str | None = None,
    like: Path | None = None,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
    reader: Reader | BlockReader = "auto",
    threads: int | None = None,
) -> ConversionSummary:
    """Convert ROOT files, or files of images, to a tensor file, in bounded memory.

    Args:
        mc: files of MC, as :func:`.resolve` takes them; with them, the samples of ``config`` are
            not used.
        data: files of detector data, which may be left out.
        output: the tensor file; an existing one is replaced only by a whole new one.
        config: what to convert, and how; its defaults choose tree, features and label.
        truth: file with the true labels of the data, row by row, for simulated studies.
        like: a tensor file; only data are converted, into its columns (:func:`.like.like`).
        skip_bad: leave out a file that cannot be read to its end or does not fit the others, with
            all its events; the summary and the provenance list it.
        progress: called with the entries done and the entries in all.
        reader: who reads, see :func:`.choose_reader`; the result is the same to the bit.
        threads: how many work; by default the processors at hand, at most eight.

    Returns:
        What was read, passed, chosen and left out.

    Raises:
        ConfigError: settings that do not fit the files, or leave no events.
        ReadError: a file that cannot be read, or does not fit the others; with ``skip_bad``, a
            sample without a single good file.
        SchemaError: the output cannot be written, or ``like`` is no tensor file.
    """
    _check_output(output)
    if truth is not None and skip_bad:
        raise ConfigError(
            "rows run along those of the data files, so that none of these can be left out",
            where=f"--truth {truth}",
            mend="name the good files without --skip-bad",
        )
    config = config or Config()
    pictures = pictures_of(mc, data, config)
    if pictures is not None:
        return convert_pictures(
            pictures,
            output=output,
            config=config,
            truth=None if truth is None else picture_ref(truth),
            like=None if like is None else open_tensors(like),
            progress=progress,
        )
    model = None
    if like is not None:
        model = take_over(open_tensors(like), mc, data, config)
        mc, data, config = (), (), model.config
    read, cut = choose_reader(reader)
    read = read_tables(read)
    skips = Skips(allowed=skip_bad)
    locations = Locations() if reader in ("auto", "fast") else None
    inputs = gather(mc, data, config, data_only=model is not None, skips=skips, locations=locations)
    target = os.path.realpath(output)
    if any(os.path.realpath(f.path) == target for e in inputs for f in e.files):
        raise ConfigError("is an input file", where=output, mend="choose another output (-o)")
    made = decide(inputs, config, model, read, skips)
    truths = None
    if truth is not None:
        truths = TruthFile(truth, inputs, made.label, config.convert.block_size, read)
    conversion = _Conversion(made, truths, skips, progress, model)
    return conversion.run(output, image_units(cut, made.images), threads or default_threads())


def _check_output(output: Path) -> None:
    if output.is_dir():
        raise ConfigError("is a folder", where=output, mend="name a file (-o tensors.h5)")
    if output.exists() and not output.is_file():
        raise ConfigError("is no ordinary file", where=output, mend="name a file (-o tensors.h5)")
    # resolve() would raise RuntimeError on a loop of links
    if not Path(os.path.realpath(output)).parent.is_dir():
        raise ConfigError("its folder does not exist", where=output, mend="make the folder first")


class _Conversion:
    """The stream of one conversion and what is counted on its way."""

    def __init__(
        self,
        made: Decision,
        truth: TruthFile | None,
        skips: Skips,
        progress: Callable[[int, int], None] | None,
        like: Like | None,
    ) -> None:
        self.made, self.plan, self.config, self.classes = made, made.plan, made.config, made.classes
        self.truth = truth
        self.like, self.skips, self.progress = like, skips, progress
        self.columns = column_names(made.plan.features)
        names = [feature.name for feature in made.plan.features]
        domains = made.plan.names
        indicators = [feature.settings.indicator for feature in made.plan.features]
        self.stats = {domain: Accumulator(domain, names, indicators) for domain in domains}
        self.views = () if made.images is None else made.images.views
        self.images = {domain: ImageCounts(self.views) for domain in domains if self.views}
        self.counts = Counts.zero(len(made.classes))
        self.files: list[FileCount] = []
        self.inputs: dict[str, dict[str, Any]] = {}
        self.done, self.total = 0, sum(s.source.entries for s in made.plan.samples)

    def run(self, output: Path, cut: UnitReader, threads: int) -> ConversionSummary:
        plan, split = self.plan, self.config.convert.split
        capacity = {
            domain: sum(s.source.entries for s in plan.samples if s.source.domain == domain)
            for domain in plan.names
        }
        info = self._feature_info()
        with TensorWriter(
            output,
            features=self.columns,
            units=[str(entry["unit"]) for entry in info],
            spectators=plan.spectators,
            classes=self.classes,
            samples=plan.names,
            capacity=capacity,
            split=split,
            weights=plan.weights,
            truth=self.truth is not None,
            feature_info=info,
            views=self.views,
            compress=self.config.convert.compress,
            threads=threads,
        ) as writer:
            self._convert(writer, cut, threads)
            self._check()
            impute = self._impute()
            writer.finish(self._provenance(), impute=impute)
        counts = self.counts
        features = tuple(s for stats in self.stats.values() for s in stats.stats())
        of_mc = [one for one in features if one.domain == "mc"]
        warnings: tuple[str, ...] = ()
        if self.like is None:
            warnings = doubts(plan, self.config, of_mc, open_tensors(output))
        return ConversionSummary(
            output=output,
            files=tuple(self.files),
            classes=tuple(
                ClassCount(
                    name,
                    i,
                    int(counts.events[i]),
                    float(counts.sum_weight[i]),
                    math.sqrt(counts.sum_weight2[i]),
                )
                for i, name in enumerate(self.classes)
                if "mc" in self.stats
            ),
            features=features,
            impute=tuple(impute),
            columns=self.columns,
            spectators=plan.spectators,
            label=plan.label,
            left_out=plan.left_out,
            notes=(*plan.notes, *self._suspicions(), *self._image_notes()),
            warnings=warnings,
            skipped=self.skips.files,
            images={domain: counts.pixels.summary() for domain, counts in self.images.items()},
        )

    def _convert(self, writer: TensorWriter, cut: UnitReader, threads: int) -> None:
        """Every file in order; what several threads do ahead is taken when its turn comes."""
        work = Work(self.plan, self.config, self.classes, self.truth, writer, cut)
        samples = self.plan.samples
        files = [(sample, file) for sample in samples for file in self.skips.left(sample.source)]
        with Stream(work.jobs(files), threads) as stream:
            for number, (sample, file) in enumerate(files):
                self._whole_file(writer, sample, file, work, stream, number)
        for sample in samples:
            self.skips.require(sample.source)

    def _whole_file(
        self,
        writer: TensorWriter,
        sample: SamplePlan,
        file: FileScan,
        work: Work,
        stream: Stream[Done],
        number: int,
    ) -> None:
        """All events of a file, or none where it is bad and may be skipped."""
        mark, saved = writer.mark(), deepcopy((self.stats, self.counts, self.images))
        done = self.done + file.entries
        good = False
        with self.skips.using(sample.source, file):
            passed, sums, described = 0, np.zeros(2), None
            if file.path not in self.inputs:
                described = stream.submit(partial(self._describe, file.path, file.uuid))
            try:
                for result in stream.take(number):
                    passed += self._add(writer, result)
                    sums += result.sums
                    work.release(result)
            except ReadError as error:
                if file.stamp is None or Path(file.path).exists():
                    raise
                raise ReadError("vanished while it was converted", where=file.path) from error
            if described is not None:
                with reading(file.path, "vanished while it was converted"):
                    self.inputs[file.path] = described.result()
            file.check_unchanged()
            domain, name = sample.source.domain, sample.source.config.name
            self.files.append(
                FileCount(domain, name, file.path, file.tree, file.entries, passed, *sums.tolist())
            )
            good = True
        if not good:
            writer.rollback(mark)
            (self.stats, self.counts, self.images), self.done = saved, done

    def _add(self, writer: TensorWriter, result: Done) -> int:
        writer.put(result.rows)
        self.stats[result.rows.domain].merge(result.statistics)
        self.counts.add(result.counts)
        if result.images is not None:
            self.images[result.rows.domain].add(result.images)
        self.done += result.entries
        if self.progress is not None:
            self.progress(self.done, self.total)
        return result.rows.count

    def _check(self) -> None:
        """What only the whole stream can tell; nothing has been put in place yet."""
        for domain, stats in self.stats.items():
            files = [file for file in self.files if file.domain == domain]
            what = {"mc": "MC", "data": "data"}[domain]
            if not any(file.passed for file in files):
                self._nothing_passed(domain, what, sum(file.read for file in files))
            if stats.empty():
                raise ConfigError(
                    f"feature '{stats.empty()[0]}' has no finite value in {what}",
                    where=next(file.path for file in files if file.passed),
                    mend="leave it out of the features, or check its sentinel (missing)",
                )
        for index, name in enumerate(self.classes if "mc" in self.stats else ()):
            if not self.counts.events[index]:
                if self.made.may_be_empty:
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
        split, splits = self.config.convert.split, self.counts.splits
        expected = np.array([split.train, split.validation, split.test]) * splits.sum()
        empty = np.flatnonzero((splits == 0) & (expected > _ENOUGH))
        if len(empty):
            ids = ", ".join(dict.fromkeys(n for s in self.plan.samples for n in s.id_branches))
            raise ConfigError(
                f"no event falls into the {SPLITS[int(empty[0])]} split: {ids} do "
                "not tell events apart",
                where="convert.event_id",
                mend="name the branches that do (--event-id)",
            )

    def _nothing_passed(self, domain: str, what: str, read: int) -> None:
        samples = [s for s in self.plan.samples if s.source.domain == domain]
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

    def _feature_info(self) -> list[dict[str, Any]]:
        info = []
        for feature in self.plan.features:
            info.append({"unit": feature.settings.unit, **feature.info()})
            if feature.settings.indicator:
                title = feature.settings.title or feature.name
                info.append({"unit": "", "title": f"{title} missing", "indicator_of": feature.name})
        return info

    def _impute(self) -> list[float]:
        values = []
        means = next(iter(self.stats.values())).means()  # of data alone none is needed
        for feature, mean in zip(self.plan.features, means, strict=True):
            declared = feature.settings.impute
            values.append(mean if declared == "mean" else float(declared))
            values += [0.0] * feature.settings.indicator
        return values

    def _provenance(self) -> dict[str, Any]:
        plan = self.plan
        truth = [file.path for file in self.truth.files] if self.truth is not None else []
        settings = {
            "samples": [
                s.source.config.model_dump(mode="json", by_alias=True) for s in plan.samples
            ],
            "convert": self.config.convert.model_dump(mode="json", by_alias=True),
            "features": {f.name: f.expression.text for f in plan.features},
            "label": plan.label,
            "classes": list(self.classes),
            "event_id": {s.source.config.name: list(s.id_branches) for s in plan.samples},
            "files": [  # of each of the samples above
                [{"path": f.path, "tree": f.tree} for f in self.skips.left(s.source)]
                for s in plan.samples
            ],
        }
        extra = {} if self.like is None else {"like": self.like.origin}
        inputs = [*self.inputs.values()]
        inputs += [self._describe(path) for path in truth if path not in self.inputs]
        skipped = [asdict(file) for file in self.skips.files]
        notes = [*plan.notes, *self._image_notes()]
        return provenance(inputs, settings, notes=notes, skipped=skipped, **extra)

    def _describe(self, path: str, uuid: str = "") -> dict[str, Any]:
        found = describe_file(path, sha256=self.config.convert.sha256)
        return found | ({"uuid": uuid} if uuid else {})

    def _image_notes(self) -> list[str]:
        """What is wrong with images, in numbers; classes that the detector has and the MC not."""
        notes = []
        for domain, counts in self.images.items():
            notes += [f"{domain}: {count:,} {reason}" for reason, count in counts.faults.items()]
            if counts.pixels.empty:
                notes.append(f"{domain}: {counts.pixels.empty:,} events have empty images")
        counted = zip(self.classes, self.counts.events, strict=True)
        absent = [name for name, events in counted if not events]
        if self.made.may_be_empty and absent and "mc" in self.stats:
            notes.append(f"no event is in {', '.join(absent)}")
        return notes

    def _suspicions(self) -> list[str]:
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
