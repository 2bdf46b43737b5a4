"""The training of one shard of a run's stacks, and what is known of it afterwards."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..evaluation import PeekObserver
from ..store.paths import RunPaths
from ..training import (
    Clock,
    Health,
    Progress,
    StackTrainer,
    choose_engine,
    load_checkpoint,
    save_checkpoint,
)
from .monitor import Monitor
from .stacks import Shard, Stacks

__all__ = ["HISTORY", "Hooks", "Trained", "history_of", "load_shard", "train_shard"]

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


@dataclass(frozen=True, eq=False)
class Trained:
    """A shard behind its last step.

    Attributes:
        shard: which.
        trainer: its networks.
        peek: what was seen of the target accuracy; ``None`` where the truth is not known.
        health: what was seen of the networks.
        whole: whether it came to its end.
    """

    shard: Shard
    trainer: StackTrainer
    peek: PeekObserver | None
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
        if self.peek is not None:
            self.peek.record(epoch, scores)


def train_shard(
    shard: Shard, stacks: Stacks, folder: Path, fingerprint: str, hooks: Hooks
) -> Trained:
    """Train a shard from its checkpoint, if there is one, to its end or until it is stopped.

    Args:
        shard: of ``stacks.shards``.
        stacks: what it trains on.
        folder: of the run.
        fingerprint: of everything that the numbers depend on.
        hooks: what is told and asked on the way.

    Raises:
        RunError: a loss is not finite, or the checkpoint is that of another run.
    """
    trainer = stacks.trainer(shard)
    checkpoint = _checkpoint(folder, shard)
    wanted = stacks.train.tensorboard
    monitor = Monitor(trainer, folder, shard.number, tell=hooks.tell, tensorboard=wanted)
    trainer.stack.clock = hooks.clock

    def save(trained: StackTrainer) -> None:
        monitor.epoch()
        hooks.clock.lap("health")
        save_checkpoint(trained, checkpoint, fingerprint)

    load_checkpoint(trainer, checkpoint, fingerprint)
    hooks.clock.lap("preparation")
    engine, why = choose_engine(trainer.stack, trainer.settings)
    names = ", ".join(shard.methods)
    hooks.tell(f"{names}: engine {engine}{f', because {why}' if why else ''}")
    done = Trained(shard, trainer, stacks.peek(shard, folder), monitor.health, whole=True)
    with monitor.monitored():
        whole = trainer.run(
            progress=partial(hooks.progress, str(shard)),
            save=save,
            watch=done.watch,
            stop=hooks.stop,
        )
    return done if whole else Trained(shard, trainer, done.peek, monitor.health, whole=False)


def load_shard(shard: Shard, stacks: Stacks, folder: Path, fingerprint: str) -> Trained:
    """A shard as another process left it in the folder.

    Raises:
        RunError: the checkpoint is damaged, or that of another run.
    """
    trainer = stacks.trainer(shard)
    health = Health(trainer, RunPaths(folder).health_notes(shard.number))
    load_checkpoint(trainer, _checkpoint(folder, shard), fingerprint)
    health.remember()
    return Trained(shard, trainer, stacks.peek(shard, folder), health, trainer.finished)


def _checkpoint(folder: Path, shard: Shard) -> Path:
    return RunPaths(folder).checkpoint(shard.number)


def history_of(trained: Sequence[Trained]) -> bytes:
    """``history.csv``: members numbered through; within a stack epoch by epoch.

    Args:
        trained: shards in the order of the run.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, HISTORY, lineterminator="\n")
    writer.writeheader()
    first, rows = 0, list[tuple[tuple[int, int, int], dict[str, object]]]()
    for done in trained:
        trainer, peek = done.trainer, done.peek
        chosen, by = trainer.chosen_epochs, trainer.settings.criterion
        for row in trainer.history:
            member, epoch = int(str(row["member"])), int(str(row["epoch"]))
            target_accuracy = None if peek is None else peek.accuracy(epoch - 1, member)
            more = {
                "member": first + member,
                "target_accuracy": "" if target_accuracy is None else target_accuracy,
                "chosen": by if epoch == chosen[member] else "",
            }
            rows.append(((done.shard.stack, epoch, first + member), row | more))
        first += len(trainer.members)
    writer.writerows(row for _, row in sorted(rows, key=lambda pair: pair[0]))
    return out.getvalue().encode()
