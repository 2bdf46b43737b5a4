"""The training of one shard of a run's stacks, and what is known of it afterwards."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ...evaluation import PeekObserver
from ...store.paths import RunPaths, ScanPaths
from ...training import (
    Clock,
    Health,
    Progress,
    StackTrainer,
    choose_engine,
    load_checkpoint,
    save_checkpoint,
)
from ..monitor import Monitor
from .shards import Shard, Stacks

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
    "loss_nuisance",
    "validation_loss",
    "validation_accuracy",
    "validation_loss_domain",
    "validation_domain_accuracy",
    "target_expected_accuracy",
    "target_accuracy",
    "chosen",
)


@dataclass(frozen=True, eq=False)
class Hooks:
    """Functions that a training calls as it goes on.

    Attributes:
        tell: given lines for the user.
        progress: given what trains, in words, and where it stands.
        stop: asked before every step.
        clock: splits the time into stages.
    """

    tell: Callable[[str], None]
    progress: Callable[[str, Progress], None]
    stop: Callable[[], bool]
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def quiet(cls, report: Callable[[Progress], None], stop: Callable[[], bool]) -> Self:
        """Report the progress and no lines.

        Args:
            report: given where the training stands.
            stop: asked before every step.
        """
        return cls(lambda *_: None, lambda _, now: report(now), stop)


@dataclass(frozen=True)
class ShardFiles:
    """What a shard leaves behind for a resume, and for the evaluation.

    Attributes:
        checkpoint: the state of its networks.
        health: what was seen of their health.
        scores: what an observer of the scores has noted.
        tensorboard: folder of event files.
    """

    checkpoint: Path
    health: Path
    scores: Path
    tensorboard: Path

    @classmethod
    def of_run(cls, folder: Path, shard: Shard) -> Self:
        """Those of a shard of a run."""
        run, number = RunPaths(folder), shard.number
        events = folder / "tensorboard"
        return cls(
            run.checkpoint(number),
            run.health_notes(number),
            run.peek_notes(number),
            events if shard.fold is None else events / f"fold-{shard.fold}",
        )

    @classmethod
    def of_scan(cls, folder: Path, stem: str) -> Self:
        """Those of a stack of a scan.

        Args:
            folder: of the scan.
            stem: begins their names.
        """
        path = ScanPaths(folder).work / stem
        ends = (".safetensors", ".health", ".notes")
        checkpoint, health, scores = (path.with_suffix(end) for end in ends)
        return cls(checkpoint, health, scores, folder / "tensorboard" / stem)

    def remove(self) -> None:
        """Remove what is spent once the results are written; event files stay."""
        for path in (self.checkpoint, self.health, self.scores):
            path.unlink(missing_ok=True)


class Observer(Protocol):
    """Sees scores of the target after each epoch, and tells the training nothing."""

    def record(self, epoch: int, scores: Sequence[NDArray[np.float32] | None], /) -> None:
        """Take note of an epoch, again where a resume trains it once more.

        Args:
            epoch: counted from 0.
            scores: (n, C) of each member; ``None`` of one that has stopped.
        """
        ...


@dataclass(frozen=True, eq=False)
class Trained:
    """A shard behind its last step.

    Attributes:
        shard: which.
        trainer: its networks.
        observer: of its scores, if there is one.
        health: what was seen of the networks.
        whole: whether it came to its end.
    """

    shard: Shard
    trainer: StackTrainer
    observer: Observer | None
    health: Health
    whole: bool

    @property
    def begun(self) -> bool:
        """Whether a step was made at all."""
        return bool(self.trainer.epoch or self.trainer.position)

    def record(self) -> None:
        """Take up the figures of an epoch that was stopped within."""
        self.trainer.record(self.watch)

    def watch(self, epoch: int, scores: list[NDArray[np.float32] | None]) -> None:
        """Show the scores of an epoch to whoever may see how right they are."""
        if self.observer is not None:
            self.observer.record(epoch, scores)


def train_shard(
    shard: Shard,
    stacks: Stacks,
    files: ShardFiles,
    fingerprint: str,
    hooks: Hooks,
    observer: Observer | None = None,
    keep: Callable[[StackTrainer], None] | None = None,
) -> Trained:
    """Train a shard from its checkpoint, if there is one, to its end or until it is stopped.

    Args:
        shard: of ``stacks.shards``.
        stacks: what it trains on.
        files: of the shard.
        fingerprint: of everything that the numbers depend on.
        hooks: what is told and asked on the way.
        observer: is shown scores of the target after each epoch.
        keep: called before each checkpoint, for what must be there when the checkpoint is.

    Raises:
        RunError: a loss is not finite, or the checkpoint is that of another run.
    """
    trainer = stacks.trainer(shard)
    events = files.tensorboard if stacks.train.tensorboard else None
    monitor = Monitor(
        trainer,
        files.health,
        tell=lambda line: hooks.tell(shard.prefix + line),
        tensorboard=events,
    )
    trainer.stack.clock = hooks.clock

    def save(trained: StackTrainer) -> None:
        monitor.epoch()
        hooks.clock.lap("health")
        if keep is not None:
            keep(trained)
        save_checkpoint(trained, files.checkpoint, fingerprint)

    load_checkpoint(trainer, files.checkpoint, fingerprint)
    hooks.clock.lap("preparation")
    engine, why = choose_engine(trainer.stack, trainer.settings)
    names = ", ".join(shard.methods)
    hooks.tell(f"{shard.prefix}{names}: engine {engine}{f', because {why}' if why else ''}")
    done = Trained(shard, trainer, observer, monitor.health, whole=True)
    with monitor.monitored():
        whole = trainer.run(
            progress=partial(hooks.progress, str(shard)),
            save=save,
            watch=None if observer is None else done.watch,
            stop=hooks.stop,
        )
    return done if whole else replace(done, whole=False)


def load_shard(
    shard: Shard,
    stacks: Stacks,
    files: ShardFiles,
    fingerprint: str,
    observer: Observer | None = None,
) -> Trained:
    """A shard as another process left it in the folder; the arguments are those of its training.

    Raises:
        RunError: the checkpoint is damaged, or that of another run.
    """
    trainer = stacks.trainer(shard)
    health = Health(trainer, files.health)
    load_checkpoint(trainer, files.checkpoint, fingerprint)
    health.remember()
    return Trained(shard, trainer, observer, health, trainer.finished)


def history_of(trained: Sequence[Trained]) -> bytes:
    """``history.csv``: members numbered through; within a stack epoch by epoch.

    Args:
        trained: shards in the order of the run.
    """
    out = io.StringIO()
    folds = any(done.shard.fold is not None for done in trained)
    writer = csv.DictWriter(out, (*HISTORY, "fold") if folds else HISTORY, lineterminator="\n")
    writer.writeheader()
    first, rows = 0, list[tuple[tuple[int, int, int], dict[str, object]]]()
    for done in trained:
        trainer, peek = done.trainer, done.observer
        chosen, by = trainer.chosen_epochs, trainer.settings.criterion
        for row in trainer.history:
            member, epoch = int(str(row["member"])), int(str(row["epoch"]))
            target_accuracy = None
            if isinstance(peek, PeekObserver):
                target_accuracy = peek.accuracy(epoch - 1, member)
            more = {
                "member": first + member,
                "target_accuracy": "" if target_accuracy is None else target_accuracy,
                "chosen": by if epoch == chosen[member] else "",
            }
            if folds:
                more["fold"] = str(done.shard.fold)
            rows.append(((done.shard.stack, epoch, first + member), row | more))
        first += len(trainer.members)
    writer.writerows(row for _, row in sorted(rows, key=lambda pair: pair[0]))
    return out.getvalue().encode()
