"""One training, from a tensor file to a run folder."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..config import Config, TrainConfig
from ..errors import Interrupted, RunError
from ..evaluation import Diagnosis, PeekObserver, oracle_source, summarise
from ..outputs import mend_of
from ..tensors import EventBlocks, Source, Target, Tensors
from ..training import (
    Clock,
    DomainEvents,
    Progress,
    StackTrainer,
    choose_engine,
    load_checkpoint,
    resident,
    save_checkpoint,
    watched_rows,
    write_whole,
)
from .advice import advised, diagnose_first
from .aligned import Aligned, fit_alignments, wanted_maps
from .auxiliary import auxiliary_shifts, auxiliary_sources, with_auxiliaries
from .claim import locked, refuse_taken
from .domains import Domains, prepare
from .events import require_tensorboard
from .folder import Run
from .health import write_health
from .memory import choose_memory, prepare_blocks, said_of
from .model import Model, parts_of
from .monitor import Monitor
from .origin import Origin
from .plan import plan_stacks, resolve, settings_of, shape_of, trained_on
from .scores import write_scores

if TYPE_CHECKING:
    from ..shifts import Composition, Shift

__all__ = ["Job"]

HISTORY = (
    "method",
    "member",
    "seed",
    "lambda",
    "epoch",
    "step",
    "learning_rate",
    "grl",
    "loss_label",
    "loss_domain",
    "domain_accuracy",
    "validation_loss",
    "validation_accuracy",
    "validation_loss_domain",
    "validation_domain_accuracy",
    "target_accuracy",
    "chosen",
)

Report = Callable[[str, Progress | None], None]


@dataclass(eq=False)
class Job:
    """A training on its way; :meth:`run` does it.

    Attributes:
        config: settings as the user gave them.
        tensors: holds the MC.
        data: holds the data, if another file does.
        shift: makes pseudo-data; ``None`` takes the data.
        claim: makes the folder of the run, when all is known to be well, or finds it.
        report: told of each stage, and of the progress within the training.
        stop: asked before every step.
        partial: asked after a stop: whether to write a run of what was trained so far.
        origin: what the run began with, if it is resumed.
    """

    config: Config
    tensors: Tensors
    data: Tensors | None
    shift: Shift | Composition | None
    claim: Callable[[], Path]
    report: Report
    stop: Callable[[], bool]
    partial: Callable[[], bool] = lambda: True
    origin: Origin | None = None
    folder: Path = field(init=False)
    _started: float = field(default_factory=time.perf_counter)
    _rate: dict[int, float] = field(default_factory=dict)
    _monitors: list[Monitor] = field(default_factory=list)
    _clock: Clock = field(default_factory=Clock)

    def run(self) -> Run:
        """Train, score, evaluate and write the run folder.

        Raises:
            HepdannError: the input does not allow the training.
        """
        asked = self.config.train
        memory = choose_memory(asked.memory, self.tensors, self.data, asked.members)
        prepared = prepare_blocks if memory == "blocks" else prepare
        domains = prepared(self.tensors, self.data, self.shift, asked.seed)
        n_train = domains.n_train
        train = resolve(asked, n_train).model_copy(update={"memory": memory})
        train = with_auxiliaries(train)
        self.config = self.config.model_copy(update={"train": train})
        if train.tensorboard:
            require_tensorboard()
        self._clock.on(train.device)
        self.folder = self.claim()
        with locked(self.folder), self._resumable():
            if self.origin is None:
                refuse_taken(self.folder)  # another process may have begun and ended meanwhile
            self._describe(domains, asked)
            return self._run(domains, n_train)

    def _run(self, domains: Domains, n_train: int) -> Run:
        found = diagnose_first(domains, self.tensors.features, self.folder / "diagnosis.json")
        if found is not None:
            self.report(f"diagnosis: {found.sentence}", None)
        shift = None if found is None else found.test.shift
        aligned = self._align(domains, found)
        trainers, peeks, whole = self._train(domains, aligned, n_train)
        self._note("interrupted" if not whole else "trained")
        if not trainers or not (whole or self.partial()):
            when = "interrupted" if trainers else "interrupted before the first step"
            raise Interrupted(when, where=self.folder, mend=self._further())
        history = self._history(trainers, peeks)
        self.report("scoring", None)
        # without it there is no run: figures never stand beside networks that are not theirs
        (self.folder / "metrics.json").unlink(missing_ok=True)
        model = Model(
            self.tensors.features,
            self.tensors.classes,
            domains.scaling,
            aligned.maps,
            {name: part for t in trainers for name, part in parts_of(t).items()},
            correction=aligned.correction,
        )
        model, _ = advised(model, domains, shift, self.folder / "recommendation.json")
        model.save(self.folder / "model.safetensors")
        write_whole(self.folder / "history.csv", history)
        write_health(self.folder, [m.health for m in self._monitors])
        self._scores(model, domains)
        self._clock.lap("scoring")
        self.report("evaluating", None)
        metrics = self._metrics(trainers, whole)
        content = json.dumps(metrics, indent=1, allow_nan=False)
        write_whole(self.folder / "metrics.json", content.encode())
        return Run(self.folder, metrics)

    def _describe(self, domains: Domains, asked: TrainConfig) -> None:
        files = [file for file in (self.tensors, self.data) if file is not None]
        if self.origin is None:
            scale = None if domains.shift is None else domains.shift.to_dict()
            self.origin = Origin.of(files, self.config, asked, scale)
            self.origin.write(self.folder)
        self._note(f"hepdann {__version__}: {self.tensors.path}, target {domains.kind}")
        if domains.blocks is not None:
            self._tell(said_of(domains.source, domains.target, domains.blocks))

    def _further(self) -> str:
        return f"go on with: hepdann train --resume -o {self.folder}"

    @contextmanager
    def _resumable(self) -> Iterator[None]:
        """An interrupt in here leaves what can be resumed, and says so."""
        try:
            yield
        except KeyboardInterrupt as error:
            error.add_note(self._further())
            raise

    def _align(self, domains: Domains, found: Diagnosis | None) -> Aligned:
        train = self.config.train
        self.report("aligning", None)
        estimate = None if found is None else found.fractions
        aligned = fit_alignments(domains, wanted_maps(train), estimate=estimate, seed=train.seed)
        if estimate is not None:
            self._note(f"class fractions: {estimate.sentence(self.tensors.classes)}")
        return aligned

    def _train(
        self, domains: Domains, aligned: Aligned, n_train: int
    ) -> tuple[list[StackTrainer], list[PeekObserver | None], bool]:
        train = self.config.train
        settings = settings_of(train, n_train)

        def put(events: Source | Target, blocks: EventBlocks | None = None) -> DomainEvents:
            return resident(events, domains.scaling, device=settings.device, blocks=blocks)

        streams = domains.blocks or (None, None)
        sources, targets = [put(domains.source, streams[0])], [put(domains.target, streams[1])]
        for name in trained_on(train):
            mapped = aligned.maps[name].apply(domains.target.features)
            targets.append(put(domains.target.with_features(mapped)))
        if train.oracle and domains.truth is not None:
            sources.append(put(oracle_source(domains.truth, domains.target)))
        oracle = len(sources) > 1
        copies = auxiliary_sources(domains.source, auxiliary_shifts(train), train.seed)
        sources += map(put, copies)
        trainers: list[StackTrainer] = []
        peeks: list[PeekObserver | None] = []
        whole = True
        for number, plan in enumerate(plan_stacks(train, oracle=oracle, copies=len(copies))):
            shape = shape_of(train, len(self.tensors.features), len(self.tensors.classes), plan)
            trainer = StackTrainer(plan.members, shape, sources, targets, settings)
            peek = _peek(domains, self.folder / "checkpoint" / f"peek-{number}.json")
            whole = self._train_stack(number, trainer, peek) and whole
            if trainer.epoch or trainer.position:
                trainers.append(trainer)
                peeks.append(peek)
        return trainers, peeks, whole

    def _train_stack(self, number: int, trainer: StackTrainer, peek: PeekObserver | None) -> bool:
        checkpoint = self.folder / "checkpoint" / f"stack-{number}.safetensors"
        assert self.origin is not None
        fingerprint = self.origin.fingerprint
        names = ", ".join(dict.fromkeys(m.label for m in trainer.members))

        def progress(now: Progress) -> None:
            self._rate[number] = now.events_per_second
            self.report(f"{len(trainer.members)} networks ({names})", now)

        wanted = self.config.train.tensorboard
        monitor = Monitor(trainer, self.folder, number, tell=self._tell, tensorboard=wanted)
        self._monitors.append(monitor)
        trainer.stack.clock = self._clock

        def save(trained: StackTrainer) -> None:
            monitor.epoch()
            self._clock.lap("health")
            save_checkpoint(trained, checkpoint, fingerprint)

        def watch(epoch: int, scores: list[NDArray[np.float32] | None]) -> None:
            if peek is not None:
                peek.record(epoch, scores)

        load_checkpoint(trainer, checkpoint, fingerprint)
        self._clock.lap("preparation")
        engine, why = choose_engine(trainer.stack, trainer.settings)
        self._tell(f"{names}: engine {engine}{f', because {why}' if why else ''}")
        try:
            with monitor.watching():
                whole = trainer.run(progress=progress, save=save, watch=watch, stop=self.stop)
                if not whole and self.partial():
                    trainer.record(watch)
        except RunError:
            if monitor.failed:
                write_health(self.folder, [m.health for m in self._monitors])
            raise
        return whole

    def _history(self, trainers: list[StackTrainer], peeks: list[PeekObserver | None]) -> bytes:
        out = io.StringIO()
        writer = csv.DictWriter(out, HISTORY, lineterminator="\n")
        writer.writeheader()
        first = 0
        for trainer, peek in zip(trainers, peeks, strict=True):
            chosen, by = trainer.chosen_epochs, trainer.settings.criterion
            for row in trainer.history:
                member, epoch = int(str(row["member"])), int(str(row["epoch"]))
                seen = None if peek is None else peek.accuracy(epoch - 1, member)
                more = {
                    "member": first + member,
                    "target_accuracy": "" if seen is None else seen,
                    "chosen": by if epoch == chosen[member] else "",
                }
                writer.writerow(row | more)
            first += len(trainer.members)
        return out.getvalue().encode()

    def _scores(self, model: Model, domains: Domains) -> None:
        path = self.folder / "scores.h5"
        write_scores(path, model, domains, tensors=self.tensors, sample_of=domains.process)

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
        path = self.folder / "log.txt"
        try:
            with path.open("a", encoding="utf-8", errors="backslashreplace") as log:
                log.write(f"{stamp} {line}\n")
        except OSError as error:
            reason = error.strerror or str(error)
            mend = mend_of(error)
            raise RunError(f"cannot be written: {reason}", where=path, mend=mend) from error


def _peek(domains: Domains, notes: Path) -> PeekObserver | None:
    if domains.truth is None:
        return None
    return PeekObserver(domains.truth, domains.target, watched_rows(domains.target), notes)
