"""ROOT files to a tensor file: look, plan, stream, check, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..errors import ConfigError
from ..provenance import describe_file, provenance
from ..tensors import SPLITS, TensorWriter, open_tensors, split_of
from .blocks import BlockReader, read_blocks
from .events import column_names, make_events
from .inputs import gather
from .labels import class_names, find_label
from .like import Like
from .like import like as take_over
from .plan import Plan, SamplePlan, make_plan
from .rootfile import reading
from .scan import FileScan
from .skips import Skips
from .summary import Accumulator, ClassCount, ConversionSummary, FileCount
from .truth import TruthFile

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
    reader: BlockReader = read_blocks,
) -> ConversionSummary:
    """Convert ROOT files to a tensor file, in memory that does not grow with the events.

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
        reader: what reads blocks of raw columns from one file.

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
    model = None
    if like is not None:
        model = take_over(open_tensors(like), mc, data, config)
        mc, data, config = (), (), model.config
    skips = Skips(allowed=skip_bad)
    inputs = gather(mc, data, config, data_only=model is not None, skips=skips)
    if any(Path(f.path).resolve() == output.resolve() for e in inputs for f in e.files):
        raise ConfigError("is an input file", where=output, mend="choose another output (-o)")
    if model is not None:
        label, classes = model.label, model.classes
        plan = make_plan(inputs, config, label, skips)
    else:
        label = find_label(inputs, config.convert, reader, skips)
        plan = make_plan(inputs, config, label, skips)
        classes = class_names(plan.samples, config.convert, reader, skips)
    truths = None
    if truth is not None:
        truths = TruthFile(truth, inputs, label, config.convert.block_size, reader)
    return _Conversion(plan, config, classes, truths, skips, reader, progress, model).run(output)


def _check_output(output: Path) -> None:
    if output.is_dir():
        raise ConfigError("is a folder", where=output, mend="name a file (-o tensors.h5)")
    if output.exists() and not output.is_file():
        raise ConfigError("is no ordinary file", where=output, mend="name a file (-o tensors.h5)")
    if not output.resolve().parent.is_dir():
        raise ConfigError("its folder does not exist", where=output, mend="make the folder first")


@dataclass
class _Counts:
    """What is counted on the way, and taken back with the events of a file that turns bad."""

    stats: dict[str, Accumulator]
    events: NDArray[np.int64]
    sum_weight: NDArray[np.float64]
    splits: NDArray[np.int64]


class _Conversion:
    """The stream of one conversion and what is counted on its way."""

    def __init__(
        self,
        plan: Plan,
        config: Config,
        classes: tuple[str, ...],
        truth: TruthFile | None,
        skips: Skips,
        reader: BlockReader,
        progress: Callable[[int, int], None] | None,
        like: Like | None,
    ) -> None:
        self.plan, self.config, self.classes, self.truth = plan, config, classes, truth
        self.like, self.skips, self.reader = like, skips, reader
        self.progress = progress
        self.columns = column_names(plan.features)
        names = [feature.name for feature in plan.features]
        self.counts = _Counts(
            stats={domain: Accumulator(domain, names, self.columns) for domain in plan.names},
            events=np.zeros(len(classes), dtype=np.int64),
            sum_weight=np.zeros(len(classes)),
            splits=np.zeros(len(SPLITS), dtype=np.int64),
        )
        self.files: list[FileCount] = []
        self.inputs: dict[str, dict[str, Any]] = {}
        self.done, self.total = 0, sum(s.source.entries for s in plan.samples)

    def run(self, output: Path) -> ConversionSummary:
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
        ) as writer:
            for sample in plan.samples:
                for file in self.skips.left(sample.source):
                    self._whole_file(writer, sample, file)
                self.skips.require(sample.source)
            self._check()
            impute = self._impute()
            writer.finish(self._provenance(), impute=impute)
        counts = self.counts
        return ConversionSummary(
            output=output,
            files=tuple(self.files),
            classes=tuple(
                ClassCount(name, i, int(counts.events[i]), float(counts.sum_weight[i]))
                for i, name in enumerate(self.classes)
                if "mc" in counts.stats
            ),
            features=tuple(s for stats in counts.stats.values() for s in stats.stats()),
            impute=tuple(impute),
            columns=self.columns,
            spectators=plan.spectators,
            label=plan.label,
            left_out=plan.left_out,
            notes=(*plan.notes, *self._suspicions()),
            skipped=self.skips.files,
        )

    def _whole_file(self, writer: TensorWriter, sample: SamplePlan, file: FileScan) -> None:
        """All events of a file, or none where it is bad and may be skipped."""
        mark, counts = writer.mark(), deepcopy(self.counts)
        done = self.done + file.entries
        good = False
        with self.skips.using(sample.source, file):
            self._file(writer, sample, file)
            good = True
        if not good:
            writer.rollback(mark)
            self.counts, self.done = counts, done

    def _file(self, writer: TensorWriter, sample: SamplePlan, file: FileScan) -> None:
        domain, passed, counts = sample.source.domain, 0, self.counts
        truth = self.truth if domain == "data" else None
        branches = [*sample.branches]
        if truth is not None:
            branches += [name for name in truth.ids if name not in branches]
        for raw in self.reader(file, branches, self.config.convert.block_size):
            labels = None
            if truth is not None:
                labels = truth.take(len(raw), raw.columns, file, raw.start)
            events = make_events(self.plan, sample, file, raw, self.classes, labels)
            block = events.block
            writer.append(domain, block)
            split = split_of(block.event_id, self.config.convert.split)
            counts.stats[domain].add(block.features, split == 0, events.missing, events.nonfinite)
            if block.label is not None:
                count = len(self.classes)
                counts.events += np.bincount(block.label, minlength=count)
                counts.sum_weight += np.bincount(block.label, block.weight, minlength=count)
                counts.splits += np.bincount(split, minlength=len(SPLITS))
            passed += len(block)
            self.done += len(raw)
            if self.progress is not None:
                self.progress(self.done, self.total)
        if file.path not in self.inputs:
            with reading(file.path, "vanished while it was converted"):
                self.inputs[file.path] = describe_file(file.path)
        file.check_unchanged()
        name = sample.source.config.name
        self.files.append(FileCount(domain, name, file.path, file.tree, file.entries, passed))

    def _check(self) -> None:
        """What only the whole stream can tell; nothing has been put in place yet."""
        for domain, stats in self.counts.stats.items():
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
        for index, name in enumerate(self.classes if "mc" in self.counts.stats else ()):
            if not self.counts.events[index]:
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
        means = next(iter(self.counts.stats.values())).means()  # of data alone none is needed
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
        }
        extra = {} if self.like is None else {"like": self.like.origin}
        inputs = [*self.inputs.values()]
        inputs += [describe_file(path) for path in truth if path not in self.inputs]
        skipped = [asdict(file) for file in self.skips.files]
        return provenance(inputs, settings, notes=list(plan.notes), skipped=skipped, **extra)

    def _suspicions(self) -> list[str]:
        """A minimum of exactly -999 or 1e38 is rarely measured; a constant tells nothing apart."""
        notes = {}
        for stats in self.counts.stats.values():
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
