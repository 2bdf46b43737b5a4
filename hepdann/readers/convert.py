"""ROOT files, or images, to a tensor file: look, plan, stream, check, write."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..cluster import current
from ..config import ConversionConfig, expand_path, load_config, override
from ..errors import ConfigError, ReadError, SchemaError
from ..outputs import drawing_folder, writing
from ..provenance import describe_file, provenance
from ..tensors import Tensors, TensorWriter, open_tensors, reweight
from .pipeline.blocks import BlockReader
from .pipeline.entry_ranges import Reader, UnitReader, choose_reader, unit_reader
from .pipeline.events import column_names
from .pipeline.friends import TruthReader
from .pipeline.job_stream import JobStream, ShardStream, default_threads, new_file
from .pipeline.range_task import Done, RangeCounts, Tally, Work
from .pipeline.summary import ConversionSummary
from .planning.conversion import plan_conversion
from .planning.input_samples import Skips, divide_by_counters, gather, wanted_samples
from .planning.labels import likely_mistakes
from .planning.plan import Plan, SamplePlan
from .planning.selection import mark_duplicates
from .prescan import FileScan
from .root.baskets import Locations
from .root.opening import reading

if TYPE_CHECKING:
    from .conversion_record import EarlierConversion

_SEVERAL = {"features", "spectators", "classes", "event_id"}
ObjectSettings = Sequence[str] | Mapping[str, Sequence[str] | Mapping[str, Any] | None]
Files = str | PathLike[str] | Sequence[str | PathLike[str]]


@dataclass(frozen=True, eq=False, repr=False)
class Converted(Tensors):
    """A tensor file that was just made.

    Attributes:
        summary: what was read, passed, chosen and left out.
    """

    summary: ConversionSummary = field(kw_only=True)


def convert(
    mc: Files = (), data: Files = (), *, output: str | Path = "tensors.h5",
    config: ConversionConfig | str | Path | None = None, tree: str | None = None,
    features: Sequence[str | Mapping[str, Any]] | None = None,
    spectators: Sequence[str] | None = None, label: str | None = None,
    classes: Sequence[str | Mapping[str, Any]] | None = None,
    weight: str | None = None, data_weight: str | None = None, cut: str | None = None,
    missing: float | None = None, event_id: Sequence[str] | None = None,
    objects: ObjectSettings | None = None,
    lumi_mask: str | Path | None = None, drop_duplicates: bool | None = None,
    truth: str | Path | None = None, like: str | Path | None = None, skip_bad: bool = False,
    reader: Reader = "auto", size: tuple[int, int] | None = None,
    colour: Literal["grey", "colour"] | None = None, threads: int | None = None,
    compress: Literal["none", "gzip", "zstd"] | None = None, sha256: bool | None = None,
    split: str | None = None, split_seed: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Converted:  # fmt: skip
    """Turn ROOT files (TTree or RNTuple), or files of images, into a tensor file.

    Args:
        mc: one or several paths, globs, ``path:tree``, ``root://`` addresses or ``.txt`` lists.
        data: likewise; both may be left out where ``config`` names samples.
        output: the tensor file; an existing one is replaced only by a whole new one.
        config: settings, a YAML file or the name of a shipped one; the arguments override it.
        tree: to read; default the only one, or the largest.
        features: branches or expressions in order; default the numeric ones that look like inputs.
        spectators: kept for plots and cuts, never an input.
        label: of MC; default the one branch in MC alone whose values are small whole numbers.
        classes: names by label value.
        weight: weight branch or expression, of MC; default 1.
        data_weight: of data; default 1.
        cut: selection, for example ``"pt > 20 && abs(eta) < 2.4"``.
        missing: value that marks a missing entry, for example -999.
        objects: names, or features by name, or settings by name as in ``convert.objects``.
        event_id: branches that identify an event; default those so named.
        lumi_mask: JSON file of the certified luminosity blocks, for data.
        drop_duplicates: keep the first row of each event, of all data and of each MC sample.
        truth: file with the true labels of the data, row by row, for simulated studies.
        like: a tensor file; ``data`` alone are converted, into its columns.
        skip_bad: leave out bad files whole; ``summary.skipped`` lists them.
        reader: who decodes; the result is the same.
        size: of pictures, rows and columns; default the largest that the files have.
        colour: of pictures; default colour where any file has it.
        threads: that decode; default the processors, at most 8.
        compress: a smaller file, slower to train on; default none.
        sha256: keep the SHA-256 of every input.
        split: expression of the event id whose 0 is test, 1 validation, all else train.
        split_seed: another train/validation/test split; default 0.
        progress: called with the entries done and in all.

    Returns:
        The tensor file, with ``summary``.

    Raises:
        HepdannError: settings that do not fit the files or leave no events, a file that cannot be
            read or does not fit the others, an output that cannot be written.
    """
    sources = _files(mc), _files(data)
    mask = None if lumi_mask is None else fspath(lumi_mask)
    settings = _settings(
        config, tree=tree, features=features, spectators=spectators, label=label,
        classes=classes, weight=weight, data_weight=data_weight, cut=cut, missing=missing,
        event_id=event_id, lumi_mask=mask, drop_duplicates=drop_duplicates, split_by=split,
        split_seed=split_seed, compress=compress, sha256=sha256, pictures_size=size,
        pictures_colour=colour, objects=_objects(objects),
    )  # fmt: skip
    truth, like = None if truth is None else fspath(truth), None if like is None else Path(like)
    summary = convert_files(
        *sources, output=Path(output), config=settings, skip_bad=skip_bad, progress=progress,
        reader=reader, threads=threads, truth=truth, like=like,
    )  # fmt: skip
    return Converted(**vars(open_tensors(output)), summary=summary)


def _files(given: Files) -> list[str]:
    names = [given] if isinstance(given, str | PathLike) else given
    return [fspath(name) for name in names]


def _settings(config: ConversionConfig | str | Path | None, **given: Any) -> ConversionConfig:
    """The configuration, with the arguments that were given on top."""
    changes = {f"convert.{key}": _plain(key, value) for key, value in given.items()}
    for key in ("seed", "by"):
        changes[f"convert.split.{key}"] = changes.pop(f"convert.split_{key}")
    for key in ("size", "colour"):
        changes[f"convert.pictures.{key}"] = changes.pop(f"convert.pictures_{key}")
    if isinstance(config, str | PathLike):
        return load_config(config, changes=changes)
    return override(config or ConversionConfig(), changes)


def _objects(given: ObjectSettings | None) -> dict[str, Any] | None:
    """Settings of each collection by name; features alone are a short form."""
    if given is None or isinstance(given, Mapping):
        named = dict(given or {})
    else:
        named = dict.fromkeys([given] if isinstance(given, str) else given)
    settings = {
        name: value if isinstance(value, Mapping) else {"features": value and list(value)}
        for name, value in named.items()
    }
    return settings or None


def _plain(key: str, value: Any) -> Any:
    """A sequence as a list; of a setting that takes several, one text is one entry."""
    if isinstance(value, str):
        return [value] if key in _SEVERAL else value
    return list(value) if isinstance(value, Sequence) else value


def convert_files(
    mc: Sequence[str] = (),
    data: Sequence[str] = (),
    *,
    output: Path,
    config: ConversionConfig | None = None,
    truth: str | None = None,
    like: Path | None = None,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
    reader: Reader | BlockReader = "auto",
    threads: int | None = None,
) -> ConversionSummary:
    """:func:`hepdann.convert` with its settings as one configuration; what was done.

    ``reader`` may be any :class:`BlockReader`: the result is the same to the bit.
    """
    _check_output(output)
    if truth is not None and (skip_bad or current() is not None):
        what = "rows run along those of the data files, so that none of these can be left out"
        raise ConfigError(
            what if skip_bad else "rows run along those of the data files, in one process",
            where=f"--truth {truth}",
            mend="name the good files without --skip-bad" if skip_bad else "leave --cluster out",
        )
    config = config or ConversionConfig()
    samples = wanted_samples(mc, data, config)
    if not samples or not samples[0].files[0].endswith(".root"):  # which holds no pictures
        from .pictures.convert import convert_pictures, picture_ref, pictures_of

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
    earlier = None
    if like is not None:
        from .conversion_record import conversion_like

        earlier = conversion_like(open_tensors(like), mc, data, config)
        mc, data, config = (), (), earlier.config
    read = choose_reader(reader)
    skips = Skips(allowed=skip_bad)
    locations = Locations() if reader in ("auto", "fast") else None
    inputs = gather(
        mc, data, config, data_only=earlier is not None, skips=skips, locations=locations
    )
    inputs, sums = divide_by_counters(inputs, skip_bad=skip_bad)
    target = os.path.realpath(output)
    if any(os.path.realpath(f.path) == target for e in inputs for f in e.files):
        raise ConfigError("is an input file", where=output, mend="choose another output (-o)")
    plan = plan_conversion(inputs, config, earlier, read, skips)
    plan = replace(plan, notes=(*plan.notes, *sums))
    if config.convert.drop_duplicates:
        mark_duplicates(plan.samples, config.convert, read, skips)
    truths = None
    if truth is not None:
        truths = TruthReader(truth, inputs, plan.label, config.convert.block_size, read)
    on_workers: Reader = "auto" if callable(reader) else reader
    conversion = _TableConversion(plan, truths, skips, progress, earlier, on_workers)
    return conversion.run(output, unit_reader(reader, plan.images), threads or default_threads())


def _check_output(output: Path) -> None:
    if output.is_dir():
        raise ConfigError("is a folder", where=output, mend="name a file (-o tensors.h5)")
    if output.exists() and not output.is_file():
        raise ConfigError("is no ordinary file", where=output, mend="name a file (-o tensors.h5)")
    # resolve() would raise RuntimeError on a loop of links
    if not Path(os.path.realpath(output)).parent.is_dir():
        raise ConfigError("its folder does not exist", where=output, mend="make the folder first")


class _TableConversion:
    """The stream of one conversion and what is counted on its way."""

    def __init__(
        self,
        plan: Plan,
        truth: TruthReader | None,
        skips: Skips,
        progress: Callable[[int, int], None] | None,
        earlier: EarlierConversion | None,
        reader: Reader,
    ) -> None:
        self.plan, self.config, self.reader = plan, plan.config, reader
        self.truth, self.earlier, self.skips, self.progress = truth, earlier, skips, progress
        self.tally = Tally(plan)
        self.inputs: dict[str, dict[str, Any]] = {}
        self.done, self.total = 0, sum(s.source.entries for s in plan.samples)

    def run(self, output: Path, cut: UnitReader, threads: int) -> ConversionSummary:
        reweighting = self.config.convert.reweight
        if not reweighting:
            return self._run(output, cut, threads)
        with writing(output, kind=SchemaError), drawing_folder(output.absolute().parent) as folder:
            summary = self._run(folder / output.name, cut, threads)
            notes = reweight(summary.output, output, reweighting)
        notes.append("the tables are of the weights before reweighting")
        return replace(summary, output=output, notes=(*summary.notes, *notes))

    def _run(self, output: Path, cut: UnitReader, threads: int) -> ConversionSummary:
        plan = self.plan
        capacity = {
            domain: sum(s.source.entries for s in plan.samples if s.source.domain == domain)
            for domain in plan.names
        }
        has_truth = self.truth is not None
        with new_file(plan, output, capacity, threads, truth=has_truth) as writer:
            self._convert(writer, cut, threads)
            self.tally.check()
            impute = self._impute()
            writer.finish(self._provenance(), impute=impute)
        features = self.tally.features
        of_mc = [one for one in features if one.domain == "mc"]
        warnings: tuple[str, ...] = ()
        if self.earlier is None:
            warnings = likely_mistakes(plan, self.config, of_mc, output)
        return ConversionSummary(
            output=output,
            files=tuple(self.tally.files),
            classes=self.tally.class_counts,
            features=features,
            impute=tuple(impute),
            columns=column_names(plan.features),
            spectators=plan.spectators,
            label=plan.label,
            left_out=plan.left_out,
            notes=(*plan.notes, *self.tally.suspicions(), *self.tally.image_notes()),
            warnings=warnings,
            skipped=self.skips.files,
            images={d: c.pixels.summary() for d, c in self.tally.of.items() if plan.views},
            objects={d: c.objects.summary() for d, c in self.tally.of.items() if plan.objects},
        )

    def _convert(self, writer: TensorWriter, cut: UnitReader, threads: int) -> None:
        """Every file in order; what several threads do ahead is taken when its turn comes."""
        work = Work(self.plan, self.truth, writer, cut)
        samples = self.plan.samples
        files = [(sample, file) for sample in samples for file in self.skips.left(sample.source)]
        with ExitStack() as stack:
            stream: JobStream[Done] | ShardStream
            if (cluster := current()) is None:
                stream = stack.enter_context(JobStream(work.jobs(files), threads))
            else:
                folder = stack.enter_context(drawing_folder(writer.path.absolute().parent))
                shards = ShardStream(self.plan, files, self.reader, cluster, folder)
                stream = stack.enter_context(shards)
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
        stream: JobStream[Done] | ShardStream,
        number: int,
    ) -> None:
        """All events of a file, or none where it is bad and may be skipped."""
        mark, counted, good = writer.mark(), RangeCounts(self.plan, sample.source.domain), False
        with self.skips.using(sample.source, file):
            described = None
            if file.path not in self.inputs:
                described = stream.submit(partial(self._describe, file.path, file.uuid))
            try:
                for result in stream.take(number):
                    writer.put(result.rows)
                    counted.add(result.counted)
                    if self.progress is not None:
                        self.progress(self.done + counted.entries, self.total)
                    work.release(result)
            except ReadError as error:
                if file.stamp is None or Path(file.path).exists():
                    raise
                raise ReadError("vanished while it was converted", where=file.path) from error
            if described is not None:
                with reading(file.path, "vanished while it was converted"):
                    self.inputs[file.path] = described.result()
            file.check_unchanged()
            self.tally.add(sample, file, counted)
            good = True
        if not good:
            writer.rollback(mark)
        self.done += file.entries

    def _impute(self) -> list[float]:
        values = []
        means = next(
            iter(self.tally.of.values())
        ).statistics.means()  # of data alone none is needed
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
            "convert": self.config.model_dump(mode="json", by_alias=True)["convert"],
            "features": {f.name: f.expression.text for f in plan.features},
            "label": plan.label,
            "classes": list(plan.classes),
            "event_id": {s.source.config.name: list(s.id_branches) for s in plan.samples},
            "files": [  # of each of the samples above
                [{"path": f.path, "tree": f.tree} for f in self.skips.left(s.source)]
                for s in plan.samples
            ],
        }
        extra = {} if self.earlier is None else {"like": self.earlier.origin}
        inputs = [*self.inputs.values()]
        inputs += [self._describe(path) for path in truth if path not in self.inputs]
        mask = self.config.convert.lumi_mask
        if mask is not None:
            inputs.append(describe_file(expand_path(mask), sha256=True))
        skipped = [asdict(file) for file in self.skips.files]
        notes = [*plan.notes, *self.tally.image_notes()]
        return provenance(inputs, settings, notes=notes, skipped=skipped, **extra)

    def _describe(self, path: str, uuid: str = "") -> dict[str, Any]:
        description = describe_file(path, sha256=self.config.convert.sha256)
        return description | ({"uuid": uuid} if uuid else {})
