"""One training, from a tensor file to a run folder."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..config import Config, TrainConfig
from ..domains import Domains, describe_memory, view_shapes
from ..errors import Interrupted, RunError
from ..evaluation import Diagnosis, summarise
from ..inference import BASE, CrossFit, InputColumns, Model, prior_corrected, save_model
from ..outputs import mend_of, write_run_file
from ..parallel import Executor, overload_warning, processes_for
from ..store.content import Metrics
from ..store.folder_lock import locked, refuse_existing, removed_if_refused, with_resume_hint
from ..store.paths import RunPaths
from ..store.reading import write_json
from ..store.start_record import StartRecord
from ..store.training_record import TrainingRecord
from ..tensors import Tensors
from ..training import Clock, Progress, StackTrainer, choose_engine
from .advice import diagnose_first, with_recommendation
from .aligned import Aligned, fit_alignments, fold_estimate, wanted_maps
from .calibrated import Calibrated, fit_calibrations, read_calibrations, settle, write_calibrations
from .folder import Run
from .health_report import write_failed, write_health
from .monitor import require_tensorboard
from .preparation import folds_of, prepare_training, with_auxiliaries
from .progress import Report, SideBySide
from .score_file import write_scores
from .stacks.fused_hint import suggest_fused
from .stacks.parts import joined, parts_of
from .stacks.plan import calibrated_on, settings_of, trained_on
from .stacks.shards import Shard, Stacks
from .stacks.training import Hooks, ShardFiles, Trained, history_of, load_shard, train_shard
from .stacks.work import PAYS, FitTask, ShardTask, Workplace, fits_aside, write_aligned
from .teacher_labels import label_by_teacher
from .torchrun import broadcast

if TYPE_CHECKING:
    from ..shifts import Composition, Shift

__all__ = ["Job"]


@dataclass(eq=False)
class Job:
    """A training on its way; :meth:`run` does it.

    Attributes:
        config: settings as the user gave them.
        tensors: holds the MC.
        data: holds the data, if another file does.
        shift: makes pseudo-data, if it is not the one that the settings name.
        make_folder: makes the folder of the run, when all is known to be well, or finds it.
        report: told of each stage, and of the progress within the training.
        stop: asked before every step.
        partial: asked after a stop: whether to write a run of what was trained so far.
        origin: what the run began with, if it is resumed.
    """

    config: Config
    tensors: Tensors
    data: Tensors | None
    shift: Shift | Composition | None
    make_folder: Callable[[], Path]
    report: Report
    stop: Callable[[], bool]
    partial: Callable[[], bool] = lambda: True
    origin: StartRecord | None = None
    folder: Path = field(init=False)
    _started: float = field(default_factory=time.perf_counter)
    _rate: dict[str, float] = field(default_factory=dict)
    _clock: Clock = field(default_factory=Clock)

    def run(self) -> Run:
        """Train, score, evaluate and write the run folder.

        Raises:
            HepdannError: the input does not allow the training.
        """
        asked = self.config.train
        domains, train = prepare_training(asked, self.tensors, self.data, self.shift)
        self.tensors = domains.tensors
        train = with_auxiliaries(train)
        settle(train)
        self.config = self.config.model_copy(update={"train": train})
        if train.tensorboard:
            require_tensorboard()
        self._clock.on(train.device)
        self.folder = self.make_folder()
        with (
            locked(self.folder),
            with_resume_hint(self._resume_hint()),
            removed_if_refused(self.folder),
        ):
            if self.origin is None:
                refuse_existing(self.folder)  # another process may have begun and ended meanwhile
            self._describe(domains, asked)
            return self._run(domains)

    def _run(self, domains: Domains) -> Run:
        wanted = self.config.train.diagnose
        names = self.tensors.features if wanted else None
        diagnosis = diagnose_first(domains, names, RunPaths(self.folder).diagnosis)
        if diagnosis is not None:
            self.report(f"diagnosis: {diagnosis.sentence}", None)
        shift = None if diagnosis is None else diagnosis.shift
        train, maps = self.config.train, wanted_maps(self.config.train)
        folds = folds_of(train, domains)
        aside = train.folds is None and self._pays(domains) and fits_aside(train)
        names = trained_on(train) if aside else maps
        aligned = [self._align(events, diagnosis, names) for events in folds]
        calibrated = self._calibrate(folds)
        shards, fitted = self._train(folds, aligned, calibrated, aside)
        if aside:
            aligned = [fitted or self._align(domains, diagnosis, maps)]
        whole, trained = all(t.whole for t in shards), [t for t in shards if t.begun]
        self._note("interrupted" if not whole else "trained")
        by_fold = [[t for t in trained if (t.shard.fold or 0) == n] for n in range(len(folds))]
        # a run has its baseline, and each of its folds what the others have
        compared = any(BASE in t.shard.methods for t in by_fold[0])
        compared &= len({tuple(t.shard.plan.members for t in fold) for fold in by_fold}) == 1
        if not compared or not (whole or self.partial()):
            when = "interrupted" if trained else "interrupted before the first step"
            raise Interrupted(when, where=self.folder, mend=self._resume_hint())
        for one in trained:
            if not one.whole:
                one.record()
        history = history_of(trained)
        self.report("scoring", None)
        # without it there is no run: figures never stand beside networks that are not theirs
        RunPaths(self.folder).metrics.unlink(missing_ok=True)
        models = tuple(map(self._model, by_fold, folds, aligned, calibrated))
        advice = RunPaths(self.folder).recommendation
        models, _ = with_recommendation(models, folds, aligned, calibrated, shift, advice)
        model: Model | CrossFit = models[0]
        if train.folds is not None:
            model = CrossFit(models, self.tensors.split_config.seed)
        files = [file.path for file in self._files]
        pseudo, folded = train.shift is not None, train.folds is not None
        TrainingRecord.of(files, pseudo=pseudo, folds=folded).write(self.folder)
        save_model(model, RunPaths(self.folder).model)
        write_run_file(RunPaths(self.folder).history, history)
        write_health(self.folder, [t.health for t in trained])
        self._scores(model, domains)
        self._clock.lap("scoring")
        self.report("evaluating", None)
        metrics = self._metrics([t.trainer for t in trained], whole)
        write_json(RunPaths(self.folder).metrics, Metrics, metrics)
        return Run(self.folder, metrics)

    def _describe(self, domains: Domains, asked: TrainConfig) -> None:
        if self.origin is None:
            scale = None if domains.shift is None else domains.shift.to_dict()
            self.origin = StartRecord.of(self._files, self.config, asked, scale)
            self.origin.write(self.folder)
        self._note(f"hepdann {__version__}: {self.tensors.path}, target {domains.kind}")
        if domains.blocks is not None:
            self._tell(describe_memory(domains.source, domains.target, domains.blocks))

    @property
    def _begun(self) -> bool:
        """Whether something of it was trained before."""
        return RunPaths(self.folder).has_checkpoint

    def _resume_hint(self) -> str:
        return f"go on with: hepdann train --resume -o {self.folder}"

    def _align(
        self, domains: Domains, diagnosis: Diagnosis | None, names: Sequence[str]
    ) -> Aligned:
        self.report("aligning", None)
        estimate = None if diagnosis is None else diagnosis.fractions
        if self.config.train.folds is not None:
            estimate = fold_estimate(domains, estimate)
        aligned = fit_alignments(domains, names, estimate=estimate, seed=self.config.train.seed)
        if estimate is not None:
            self._note(f"class fractions: {estimate.sentence(self.tensors.classes)}")
        return aligned

    def _calibrate(self, folds: Sequence[Domains]) -> list[dict[str, Calibrated]]:
        """The calibrations of each fold, as an interrupted training has left them or anew."""
        train = self.config.train
        if not calibrated_on(train):
            return [{} for _ in folds]
        done = read_calibrations(self.folder)
        if done is None:
            self.report("calibrating", None)
            done = [fit_calibrations(events, train, self._tell) for events in folds]
            write_calibrations(self.folder, done)
        self._clock.lap("calibration")
        return done

    def _pays(self, domains: Domains) -> bool:
        """Whether the training lasts so long that processes repay their start."""
        train = self.config.train
        events = settings_of(train, domains.n_train).events * train.members
        return events >= PAYS and train.device == "cpu" and domains.images is None

    def _train(
        self,
        folds: Sequence[Domains],
        aligned: Sequence[Aligned],
        calibrated: Sequence[Mapping[str, Calibrated]],
        aside: bool,
    ) -> tuple[list[Trained], Aligned | None]:
        """Train all shards; with ``aside`` all alignments are fitted meanwhile, if not stopped."""
        assert self.origin is not None
        train, fingerprint = self.config.train, self.origin.fingerprint
        cut = self.origin.config.train.shares  # a resume may have other processes, not other cuts
        all_stacks = [
            Stacks(
                train, events, maps.maps, cut, maps.correction,
                fold=None if train.folds is None else number,
                calibrations={name: one.calibration for name, one in maps_of_mc.items()},
            )
            for number, (events, maps, maps_of_mc) in enumerate(
                zip(folds, aligned, calibrated, strict=True)
            )
        ]  # fmt: skip
        hooks = Hooks(self._tell, self._progress, self.stop, self._clock)
        broadcast(folder=str(self.folder.resolve()), fingerprint=fingerprint)
        hint = suggest_fused(all_stacks[0].shards, all_stacks[0].shape, all_stacks[0].settings)
        if hint is not None and not self._begun:
            self._tell(hint)
        labelled = [[s for s in stacks.shards if not stacks.unlabelled(s)] for stacks in all_stacks]
        tasks = sum(map(len, labelled)) + aside
        workers = processes_for(train.workers, tasks, pays=self._pays(folds[0]))
        fitted, done = None, list[Trained]()

        def train_or_load(stacks: Stacks, shard: Shard, trained: bool = False) -> Trained:
            files = ShardFiles.of_run(self.folder, shard)
            observer = stacks.peek(files.scores)
            if trained:
                return load_shard(shard, stacks, files, fingerprint, observer)
            return train_shard(shard, stacks, files, fingerprint, hooks, observer)

        try:
            if workers > 1:
                every = [shard for shards in labelled for shard in shards]
                fitted = self._spread(every, workers, aligned, hooks, aside)
            for events, maps, maps_of_mc, stacks, shards in zip(
                folds, aligned, calibrated, all_stacks, labelled, strict=True
            ):
                now = [train_or_load(stacks, shard, trained=workers > 1) for shard in shards]
                unlabelled = [shard for shard in stacks.shards if stacks.unlabelled(shard)]
                if unlabelled and all(one.whole for one in now):  # the teacher is
                    model = self._model(now, events, maps, maps_of_mc)
                    labels, name = label_by_teacher(model, events, maps)
                    self._tell(f"{unlabelled[0].prefix}self-training: {name} labels the target")
                    stacks.teach(labels)
                    now += [train_or_load(stacks, shard) for shard in unlabelled]
                done += now
        except RunError:
            every = [shard for stacks in all_stacks for shard in stacks.shards]
            write_failed(self.folder, [len(shard.plan.members) for shard in every])
            raise
        return sorted(done, key=lambda one: one.shard.number), fitted

    def _spread(
        self,
        shards: Sequence[Shard],
        workers: int,
        aligned: Sequence[Aligned],
        hooks: Hooks,
        aside: bool,
    ) -> Aligned | None:
        """Train shards in processes, which leave checkpoints and notes in the folder."""
        assert self.origin is not None
        train = self.config.train
        warning = overload_warning(workers) if train.workers != "auto" else None
        if warning is not None:
            self._tell(f"warning: {warning}")
        for number, maps in enumerate(aligned):
            fold = None if train.folds is None else number
            write_aligned(self.folder, maps, trained_on(train), fold)
        members = {shard.number: len(shard.plan.members) for shard in shards}
        names = dict.fromkeys(name for shard in shards for name in shard.methods)
        what = f"{sum(members.values())} networks ({', '.join(names)}) in {workers} processes"
        together, seconds, fitted = SideBySide(members), Counter[str](), None

        def report(number: int, content: str | Progress) -> None:
            if isinstance(content, Progress):
                hooks.progress(what, together.at(number, content))
            else:
                hooks.tell(content)

        hooks.clock.lap("preparation")
        place = Workplace.of(self.origin, train, self.folder, self._files)
        with Executor(workers, report, hooks.stop, self._resume_hint()) as executor:
            for shard in shards:
                executor.submit(shard.number, ShardTask(place, shard.number, shard.fold))
            if aside:
                executor.submit("maps", FitTask(place, aligned[0].estimate))
            for key, result in executor.completed():
                if key == "maps":
                    fitted = result
                else:
                    seconds.update(result)
        hooks.clock.share(seconds)
        return fitted

    def _model(
        self,
        trained: list[Trained],
        domains: Domains,
        aligned: Aligned,
        calibrated: Mapping[str, Calibrated],
    ) -> Model:
        columns = InputColumns.of(self.tensors)
        return Model(
            self.tensors.features,
            self.tensors.classes,
            domains.scaling,
            aligned.maps,
            joined(parts_of(t.trainer) for t in trained),
            mixtures=prior_corrected(aligned.correction),
            correction=aligned.correction,
            views=() if domains.images is None else view_shapes(domains.images.views),
            missing=columns.missing,
            indicators=columns.indicators,
            calibrations={name: one.calibration for name, one in calibrated.items()},
        )

    @property
    def _files(self) -> list[Tensors]:
        return [file for file in (self.tensors, self.data) if file is not None]

    def _progress(self, what: str, now: Progress) -> None:
        self._rate[what] = now.events_per_second
        self.report(what, now)

    def _scores(self, model: Model | CrossFit, domains: Domains) -> None:
        write_scores(
            RunPaths(self.folder).scores,
            model,
            domains,
            tensors=self.tensors,
            data=self.data,
            sample_of=domains.process,
        )

    def _metrics(self, trainers: list[StackTrainer], whole: bool) -> dict[str, Any]:
        rates = list(self._rate.values())
        figures = summarise(self.folder)
        self._clock.lap("evaluation")
        return {
            **figures,
            "throughput": {
                "events_per_s": sum(rates) / len(rates) if rates else None,
                "members": sum(len(t.members) for t in trainers),
                "engines": [choose_engine(t.stack, t.settings)[0] for t in trainers],
                "seconds": time.perf_counter() - self._started,
                "time": self._clock.seconds,
            },
            "interrupted": not whole,
        }

    def _tell(self, line: str) -> None:
        self._note(line)
        self.report(line, None)

    def _note(self, line: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        path = RunPaths(self.folder).log
        try:
            with path.open("a", encoding="utf-8", errors="backslashreplace") as log:
                log.write(f"{stamp} {line}\n")
        except OSError as error:
            reason = error.strerror or str(error)
            mend = mend_of(error)
            raise RunError(f"cannot be written: {reason}", where=path, mend=mend) from error
