"""One training, from a tensor file to a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..config import Config, TrainConfig
from ..errors import Interrupted, RunError
from ..evaluation import Diagnosis, summarise
from ..inference import BASE, InputColumns, Model, prior_corrected, save_model
from ..outputs import mend_of, write_run_file
from ..store.content import Metrics
from ..store.folder_lock import locked, refuse_existing, removed_if_refused, with_resume_hint
from ..store.paths import RunPaths
from ..store.reading import write_json
from ..store.start_record import StartRecord
from ..tensors import Tensors
from ..training import Clock, Progress, StackTrainer, choose_engine
from .advice import diagnose_first, with_recommendation
from .aligned import Aligned, fit_alignments, wanted_maps
from .auxiliary import with_auxiliaries
from .domains import Domains
from .folder import Run
from .fused_hint import suggest_fused
from .health_report import write_failed, write_health
from .image_domains import view_shapes
from .memory import describe_memory
from .monitor import require_tensorboard
from .parallel_training import assign_shards, train_in_processes
from .preparation import prepare_training
from .registered import Registered
from .score_file import write_scores
from .shard_training import Hooks, Trained, history_of, load_shard, train_shard
from .stack_plan import trained_on
from .stacks import Shard, Stacks
from .teacher_labels import label_by_teacher
from .torchrun import broadcast
from .trained_parts import joined, parts_of
from .worker_pool import overload_warning
from .worker_process import TrainingTask, write_aligned

if TYPE_CHECKING:
    from ..shifts import Composition, Shift

__all__ = ["Job"]

Report = Callable[[str, Progress | None], None]


@dataclass(eq=False)
class Job:
    """A training on its way; :meth:`run` does it.

    Attributes:
        config: settings as the user gave them.
        tensors: holds the MC.
        data: holds the data, if another file does.
        shift: makes pseudo-data; ``None`` takes the data.
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
        domains, self.tensors, train = prepare_training(asked, self.tensors, self.data, self.shift)
        train = with_auxiliaries(train)
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
        aligned = self._align(domains, diagnosis)
        shards = self._train(domains, aligned)
        whole, trained = all(t.whole for t in shards), [t for t in shards if t.begun]
        self._note("interrupted" if not whole else "trained")
        compared = any(BASE in t.shard.methods for t in trained)  # a run has its baseline
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
        model = self._model(trained, domains, aligned)
        model, _ = with_recommendation(model, domains, shift, RunPaths(self.folder).recommendation)
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

    def _align(self, domains: Domains, diagnosis: Diagnosis | None) -> Aligned:
        train = self.config.train
        self.report("aligning", None)
        estimate = None if diagnosis is None else diagnosis.fractions
        aligned = fit_alignments(domains, wanted_maps(train), estimate=estimate, seed=train.seed)
        if estimate is not None:
            self._note(f"class fractions: {estimate.sentence(self.tensors.classes)}")
        return aligned

    def _train(self, domains: Domains, aligned: Aligned) -> list[Trained]:
        assert self.origin is not None
        train, fingerprint = self.config.train, self.origin.fingerprint
        cut = self.origin.config.train.workers  # a resume may have other processes, not other cuts
        classes = len(self.tensors.classes)
        stacks = Stacks(train, domains, aligned.maps, classes, cut, aligned.correction)
        hooks = Hooks(self._tell, self._progress, self.stop, self._clock)
        broadcast(folder=str(self.folder.resolve()), fingerprint=fingerprint)
        hint = suggest_fused(stacks.shards, stacks.shape, stacks.settings)
        if hint is not None and not self._begun:
            self._tell(hint)
        unlabelled = [shard for shard in stacks.shards if stacks.unlabelled(shard)]
        labelled = [shard for shard in stacks.shards if shard not in unlabelled]
        shares = assign_shards(labelled, train.workers)
        try:
            if len(shares) > 1:
                self._spread(shares, aligned, hooks)
                done = [load_shard(p, stacks, self.folder, fingerprint) for p in labelled]
            else:
                done = [train_shard(p, stacks, self.folder, fingerprint, hooks) for p in labelled]
            if unlabelled and all(one.whole for one in done):  # the teacher is
                events, name = label_by_teacher(self._model(done, domains, aligned), domains)
                self._tell(f"self-training: {name} labels the target")
                stacks.teach(events)
                done += [
                    train_shard(p, stacks, self.folder, fingerprint, hooks) for p in unlabelled
                ]
        except RunError:
            write_failed(self.folder, [len(shard.plan.members) for shard in stacks.shards])
            raise
        return sorted(done, key=lambda one: one.shard.number)

    def _spread(self, shares: Sequence[Sequence[Shard]], aligned: Aligned, hooks: Hooks) -> None:
        """Train shards in processes of their own."""
        train = self.config.train
        warning = overload_warning(len(shares))
        if warning is not None:
            self._tell(f"warning: {warning}")
        write_aligned(self.folder, aligned, trained_on(train))
        task = TrainingTask(
            folder=self.folder.absolute(),
            files=tuple(file.path.absolute() for file in self._files),
            shards=(),
            settings={"device": train.device, "tensorboard": train.tensorboard},
            registered=Registered.needed(self.config.train),
        )
        train_in_processes(task, shares, hooks, self._resume_hint())

    def _model(self, trained: list[Trained], domains: Domains, aligned: Aligned) -> Model:
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
        )

    @property
    def _files(self) -> list[Tensors]:
        return [file for file in (self.tensors, self.data) if file is not None]

    def _progress(self, what: str, now: Progress) -> None:
        self._rate[what] = now.events_per_second
        self.report(what, now)

    def _scores(self, model: Model, domains: Domains) -> None:
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
