"""ROOT files to a tensor file: look, plan, stream, check, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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
from .scan import FileScan
from .summary import Accumulator, ClassCount, ConversionSummary, FileCount
from .truth import TruthFile

__all__ = ["convert"]

_SENTINELS = (-9.0, -99.0, -999.0, -9999.0, -99999.0)
_ENOUGH = 50  # events expected in a split, from which on an empty one is no chance


def convert(
    mc: Sequence[str] = (),
    data: Sequence[str] = (),
    *,
    output: Path,
    config: Config | None = None,
    truth: str | None = None,
    like: Path | None = None,
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
        progress: called with the entries done and the entries in all.
        reader: what reads blocks of raw columns from one file.

    Returns:
        What was read, passed, chosen and left out.

    Raises:
        ConfigError: settings that do not fit the files, or leave no events.
        ReadError: a file that cannot be read, or does not fit the others.
        SchemaError: the output cannot be written, or ``like`` is no tensor file.
    """
    _check_output(output)
    config = config or Config()
    model = None
    if like is not None:
        model = take_over(open_tensors(like), mc, data, config)
        mc, data, config = (), (), model.config
    inputs = gather(mc, data, config, data_only=model is not None)
    if any(Path(f.path).resolve() == output.resolve() for e in inputs for f in e.files):
        raise ConfigError("is an input file", where=output, mend="choose another output (-o)")
    label = model.label if model is not None else find_label(inputs, config.convert, reader)
    plan = make_plan(inputs, config, label)
    if model is not None:
        classes = model.classes
    else:
        classes = class_names(plan.samples, config.convert, reader)
    truths = None
    if truth is not None:
        truths = TruthFile(truth, inputs, label, config.convert.block_size, reader)
    return _Conversion(plan, config, classes, truths, reader, progress, model).run(output)


def _check_output(output: Path) -> None:
    if output.is_dir():
        raise ConfigError("is a folder", where=output, mend="name a file (-o tensors.h5)")
    if output.exists() and not output.is_file():
        raise ConfigError("is no ordinary file", where=output, mend="name a file (-o tensors.h5)")
    if not output.resolve().parent.is_dir():
        raise ConfigError("its folder does not exist", where=output, mend="make the folder first")


class _Conversion:
    """The stream of one conversion and what is counted on its way."""

    def __init__(
        self,
        plan: Plan,
        config: Config,
        classes: tuple[str, ...],
        truth: TruthFile | None,
        reader: BlockReader,
        progress: Callable[[int, int], None] | None,
        like: Like | None,
    ) -> None:
        self.plan, self.config, self.classes, self.truth = plan, config, classes, truth
        self.like = like
        self.reader = reader
        self.progress = progress
        self.columns = column_names(plan.features)
        names = [feature.name for feature in plan.features]
        self.stats = {domain: Accumulator(domain, names, self.columns) for domain in plan.names}
        self.files: list[FileCount] = []
        self.events = np.zeros(len(classes), dtype=np.int64)
        self.sum_weight = np.zeros(len(classes))
        self.splits = np.zeros(len(SPLITS), dtype=np.int64)
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
                for file in sample.source.files:
                    self._file(writer, sample, file)
            self._check()
            impute = self._impute()
            writer.finish(self._provenance(), impute=impute)
        return ConversionSummary(
            output=output,
            files=tuple(self.files),
            classes=tuple(
                ClassCount(name, i, int(self.events[i]), float(self.sum_weight[i]))
                for i, name in enumerate(self.classes)
                if "mc" in self.stats
            ),
            features=tuple(s for stats in self.stats.values() for s in stats.stats()),
            impute=tuple(impute),
            columns=self.columns,
            spectators=plan.spectators,
            label=plan.label,
            left_out=plan.left_out,
            notes=(*plan.notes, *self._suspicions()),
        )

    def _file(self, writer: TensorWriter, sample: SamplePlan, file: FileScan) -> None:
        domain, passed = sample.source.domain, 0
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
            self.stats[domain].add(block.features, split == 0, events.missing, events.nonfinite)
            if block.label is not None:
                count = len(self.classes)
                self.events += np.bincount(block.label, minlength=count)
                self.sum_weight += np.bincount(block.label, block.weight, minlength=count)
                self.splits += np.bincount(split, minlength=len(SPLITS))
            passed += len(block)
            self.done += len(raw)
            if self.progress is not None:
                self.progress(self.done, self.total)
        name = sample.source.config.name
        self.files.append(FileCount(domain, name, file.path, file.tree, file.entries, passed))

    def _check(self) -> None:
        """What only the whole stream can tell; nothing has been put in place yet."""
        for domain, stats in self.stats.items():
            counts = [file for file in self.files if file.domain == domain]
            what = {"mc": "MC", "data": "data"}[domain]
            if not any(file.passed for file in counts):
                self._nothing_passed(domain, what, sum(file.read for file in counts))
            if stats.empty():
                raise ConfigError(
                    f"feature '{stats.empty()[0]}' has no finite value in {what}",
                    where=next(file.path for file in counts if file.passed),
                    mend="leave it out of the features, or check its sentinel (missing)",
                )
        for index, name in enumerate(self.classes if "mc" in self.stats else ()):
            if not self.events[index]:
                raise ConfigError(
                    f"class '{name}' (label {index}) has no events",
                    mend="loosen the cut, or correct the classes",
                )
            if self.sum_weight[index] <= 0:
                raise ConfigError(
                    f"the weights of class '{name}' add up to {self.sum_weight[index]:g}",
                    mend="a class needs a positive sum: check weight and scale (a template that "
                    "is subtracted needs the one that it is subtracted from)",
                )
        self._check_splits()

    def _check_splits(self) -> None:
        split = self.config.convert.split
        expected = np.array([split.train, split.validation, split.test]) * self.splits.sum()
        empty = np.flatnonzero((self.splits == 0) & (expected > _ENOUGH))
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
        means = next(iter(self.stats.values())).means()  # of MC; of data alone none is needed
        for feature, mean in zip(self.plan.features, means, strict=True):
            declared = feature.settings.impute
            values.append(mean if declared == "mean" else float(declared))
            values += [0.0] * feature.settings.indicator
        return values

    def _provenance(self) -> dict[str, Any]:
        plan = self.plan
        files = [file.path for sample in plan.samples for file in sample.source.files]
        files += [file.path for file in self.truth.files] if self.truth is not None else []
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
        inputs = [describe_file(path) for path in dict.fromkeys(files)]
        extra = {} if self.like is None else {"like": self.like.origin}
        return provenance(inputs, settings, notes=list(plan.notes), **extra)

    def _suspicions(self) -> list[str]:
        """A minimum of exactly -999 is rarely a measurement; a constant tells nothing apart."""
        notes = {}
        for stats in self.stats.values():
            for one in stats.stats():
                if one.minimum in _SENTINELS and one.name not in notes:
                    notes[one.name] = (
                        f"{one.name}: the minimum is {one.minimum:g}; if that marks a missing "
                        f"value, say so (--missing={one.minimum:g})"
                    )
                elif one.domain == "mc" and one.minimum == one.maximum:
                    notes[one.name] = f"{one.name} is {one.minimum:g} in all of MC"
        return list(notes.values())
