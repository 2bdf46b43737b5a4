"""One training, from a tensor file to a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..alignment import FractionEstimate
from ..config import Config, TrainConfig
from ..display import command_line
from ..domains import Domains, describe_memory
from ..errors import Interrupted
from ..evaluation import Diagnosis, summarise
from ..inference import Model, save_model
from ..outputs import write_run_file
from ..registry import SOURCE_ONLY
from ..store.content import Metrics
from ..store.paths import RunPaths, refuse_existing, training_in
from ..store.reading import write_json
from ..store.training_record import StartRecord, TrainingRecord
from ..tensors import Tensors
from ..training import Clock, Progress, StackTrainer, choose_engine
from .folder import Run
from .health_report import require_tensorboard, write_health
from .maps import (
    Aligned,
    Calibrated,
    calibrated_on,
    check_calibrations,
    fit_alignments,
    fit_calibrations,
    fold_estimate,
    read_calibrations,
    wanted_maps,
    write_calibrations,
)
from .model_selection import add_recommendation, write_diagnosis
from .preparation import fold_domains, prepare_training, with_auxiliaries
from .progress import Report, RunLog
from .run_training import RunTraining
from .score_file import write_scores
from .stacks.shard_training import Hooks, Trained, history_of, model_of

if TYPE_CHECKING:
    from ..shifts import Composition, Shift


@dataclass(eq=False)
class Job:
    """A training on its way; :meth:`run` does it.

    Attributes:
        shift: makes pseudo-data, if it is not the one that the settings name.
        make_folder: makes the folder of the run, when all is known to be well, or finds it.
        partial: asked after a stop: whether to write a run of what was trained so far.
    """

    config: Config
    tensors: Tensors
    data: Tensors | None
    shift: Shift | Composition | None
    make_folder: Callable[[], Path]
    report: Report
    stop: Callable[[], bool]
    partial: Callable[[], bool] = lambda: True
    start_record: StartRecord | None = None
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
        check_calibrations(train)
        self.config = self.config.model_copy(update={"train": train})
        if train.tensorboard:
            require_tensorboard()
        self._clock.on(train.device)
        self.folder = self.make_folder()
        with training_in(self.folder, self._resume_hint):
            if self.start_record is None:
                refuse_existing(self.folder)  # another process may have begun and ended meanwhile
            self._describe(domains, asked)
            return self._run(domains)

    def _run(self, domains: Domains) -> Run:
        assert self.start_record is not None
        train, folds = self.config.train, fold_domains(self.config.train, domains)
        training = RunTraining(
            self.start_record, train, self.folder, self._files,
            Hooks(self._log.tell, self._progress, self.stop, self._clock), self._resume_hint,
        )  # fmt: skip
        calibrated = self._calibrate(folds)
        diagnosis, fitted = None, None
        if training.overlaps(domains):
            diagnosis, fitted = training.diagnose_and_train(domains, self._tell_diagnosis)
        if diagnosis is None:
            diagnosis = self._diagnose(domains)
        estimate = None if diagnosis is None else diagnosis.fractions
        aligned = (
            [fitted] if fitted else [self._align(n, folds[n], estimate) for n in range(len(folds))]
        )
        shards = training.run(folds, aligned, calibrated)
        whole, trained = all(t.whole for t in shards), [t for t in shards if t.begun]
        self._log.note("interrupted" if not whole else "trained")
        by_fold = [[t for t in trained if (t.shard.fold or 0) == n] for n in range(len(folds))]
        # a run has its baseline, and each of its folds what the others have
        compared = any(SOURCE_ONLY in t.shard.methods for t in by_fold[0])
        compared &= len({tuple(t.shard.plan.members for t in fold) for fold in by_fold}) == 1
        if not compared or not (whole or self.partial()):
            when = "interrupted" if trained else "interrupted before the first step"
            raise Interrupted(when, where=self.folder, mend=self._resume_hint)
        for one in trained:
            if not one.whole:
                one.record()
        self.report("scoring", None)
        # without it there is no run: figures never stand beside networks that are not theirs
        paths = RunPaths(self.folder)
        paths.metrics.unlink(missing_ok=True)
        trainers = [[one.trainer for one in fold] for fold in by_fold]
        models = tuple(map(model_of, trainers, folds, aligned, calibrated))
        shift = None if diagnosis is None else diagnosis.shift
        advice = paths.recommendation
        models, _ = add_recommendation(models, folds, aligned, calibrated, shift, advice)
        self._write(models, domains, trained)
        self.report("evaluating", None)
        metrics = self._metrics([t.trainer for t in trained], whole)
        write_json(paths.metrics, Metrics, metrics)
        return Run(self.folder, metrics)

    def _write(
        self, models: tuple[Model, ...], domains: Domains, trained: Sequence[Trained]
    ) -> None:
        """Write all that the figures are computed from."""
        paths, model = RunPaths(self.folder), models[0]
        if self.config.train.folds is not None:
            model = Model.of_folds(models, self.tensors.split_config.seed)
        files = [file.path for file in self._files]
        train = self.config.train
        pseudo, folded = train.shift is not None, train.folds is not None
        TrainingRecord.of(files, pseudo=pseudo, folds=folded).write(self.folder)
        save_model(model, paths.model)
        write_run_file(paths.history, history_of(trained))
        write_health(self.folder, [t.health for t in trained])
        write_scores(paths.scores, model, domains, tensors=self.tensors, data=self.data)
        self._clock.lap("scoring")

    def _diagnose(self, domains: Domains) -> Diagnosis | None:
        names = self.tensors.features if self.config.train.diagnose else None
        diagnosis = write_diagnosis(domains, names, RunPaths(self.folder).diagnosis)
        if diagnosis is not None:
            self._tell_diagnosis(diagnosis)
        return diagnosis

    def _tell_diagnosis(self, diagnosis: Diagnosis) -> None:
        self.report(f"diagnosis: {diagnosis.sentence}", None)
        if diagnosis.fractions is not None and self.config.train.folds is None:
            sentence = diagnosis.fractions.sentence(self.tensors.classes)
            self._log.note(f"class fractions: {sentence}")

    def _align(self, fold: int, domains: Domains, estimate: FractionEstimate | None) -> Aligned:
        train = self.config.train
        self.report("aligning" if train.folds is None else f"aligning: fold {fold}", None)
        if train.folds is not None:
            estimate = fold_estimate(domains, estimate)
        if estimate is not None and train.folds is not None:
            self._log.note(f"class fractions: {estimate.sentence(self.tensors.classes)}")
        return fit_alignments(domains, wanted_maps(train), estimate=estimate, seed=train.seed)

    def _describe(self, domains: Domains, asked: TrainConfig) -> None:
        if self.start_record is None:
            scale = None if domains.shift is None else domains.shift.to_dict()
            self.start_record = StartRecord.of(self._files, self.config, asked, scale)
            self.start_record.write(self.folder)
        self._log.note(f"hepdann {__version__}: {self.tensors.path}, target {domains.kind}")
        if domains.blocks is not None:
            self._log.tell(describe_memory(domains.source, domains.target, domains.blocks))

    def _calibrate(self, folds: Sequence[Domains]) -> list[dict[str, Calibrated]]:
        """The calibrations of each fold, as an interrupted training has left them or anew."""
        train = self.config.train
        if not calibrated_on(train):
            return [{} for _ in folds]
        done = read_calibrations(self.folder)
        if done is None:
            self.report("calibrating", None)
            done = [fit_calibrations(events, train, self._log.tell) for events in folds]
            write_calibrations(self.folder, done)
        self._clock.lap("calibration")
        return done

    @property
    def _resume_hint(self) -> str:
        return f"go on with: {command_line('train', '--resume', '-o', self.folder)}"

    @property
    def _log(self) -> RunLog:
        return RunLog(RunPaths(self.folder).log, self.report)

    @property
    def _files(self) -> list[Tensors]:
        return [file for file in (self.tensors, self.data) if file is not None]

    def _progress(self, what: str, now: Progress) -> None:
        self._rate[what] = now.events_per_second
        self.report(what, now)

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
