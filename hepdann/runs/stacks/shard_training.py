"""The training of one shard of the stacks, and what comes of it: history, parts of a model."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ...domains import Domains, object_shapes, view_shapes
from ...evaluation import PeekObserver
from ...inference import InputColumns, Model, prior_corrected
from ...inference.steps import Part
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
from ..health_report import Monitor
from ..maps import Aligned, Calibrated
from .shards import Shard, Stacks

HISTORY = (
    "method", "member", "seed", "lambda", "epoch", "step", "learning_rate", "grl", "loss_label",
    "loss_domain", "domain_accuracy", "loss_nuisance", "validation_loss", "validation_accuracy",
    "validation_loss_domain", "validation_domain_accuracy", "target_expected_accuracy",
    "target_accuracy", "chosen",
)  # fmt: skip
_SAVE_EVERY = 2.0  # seconds from which an epoch is worth a checkpoint, which waits for the disk


@dataclass(frozen=True, eq=False)
class Hooks:
    """Functions that a training calls as it goes on."""

    tell: Callable[[str], None]
    progress: Callable[[str, Progress], None]
    stop: Callable[[], bool]
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def quiet(cls, report: Callable[[Progress], None], stop: Callable[[], bool]) -> Self:
        """Report the progress and no lines."""
        return cls(lambda *_: None, lambda _, now: report(now), stop)


@dataclass(frozen=True)
class ShardFiles:
    """What a shard leaves behind for a resume, and for the evaluation."""

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
        """Those of a stack of a scan."""
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
        """Take note of (n, C) scores of each member that goes on; again after a resume."""
        ...

    def save(self) -> None:
        """Write the notes, before a checkpoint is written."""
        ...


@dataclass(frozen=True, eq=False)
class Trained:
    """A shard behind its last step."""

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
    saved = -math.inf

    def write() -> None:
        nonlocal saved
        if observer is not None:
            observer.save()
        save_checkpoint(trainer, files.checkpoint, fingerprint)
        saved = time.perf_counter()

    def save(trained: StackTrainer) -> None:
        monitor.epoch()
        hooks.clock.lap("health")
        if keep is not None:
            keep(trained)
        late = time.perf_counter() - saved > _SAVE_EVERY
        if late or trained.finished or trained.position:
            write()

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
    if whole:
        return done
    if not trainer.position:  # stopped behind an epoch that has no checkpoint
        write()
    return replace(done, whole=False)


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
    """``history.csv``: members numbered through; within a stack epoch by epoch."""
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


def model_of(
    trainers: Sequence[StackTrainer],
    domains: Domains,
    aligned: Aligned,
    calibrated: Mapping[str, Calibrated],
) -> Model:
    """The model of a run or of a fold of it."""
    columns, images = InputColumns.of(domains.tensors), domains.images
    return Model(
        domains.tensors.features,
        domains.tensors.classes,
        domains.scaling if images is None else images.scaling or domains.scaling,
        aligned.maps,
        joined(map(parts_of, trainers)),
        mixtures=prior_corrected(aligned.correction),
        correction=aligned.correction,
        views=() if images is None else view_shapes(images.views),
        objects=object_shapes(domains.tensors.objects),
        missing=columns.missing,
        indicators=columns.indicators,
        calibrations={name: one.calibration for name, one in calibrated.items()},
    )


def parts_of(trainer: StackTrainer) -> dict[str, Part]:
    """The methods of a stack, with the averaged weights of each member's chosen epoch."""
    with trainer.chosen() as trained:
        state = {name: values.copy() for name, values in trained.arrays().items()}
    parts = {}
    for name in dict.fromkeys(m.label for m in trainer.members):
        chosen = [k for k, m in enumerate(trainer.members) if m.label == name]
        members = [trainer.members[k] for k in chosen]
        member_state = {
            key: value[:, chosen] if _member_axis(key) else value[chosen]
            for key, value in state.items()
        }
        seeds = tuple(m.seed for m in members)
        parts[name] = Part(
            trainer.network.shape,
            member_state,
            members[0].method.target_domain,
            tuple(float(trainer.lambda_[k]) for k in chosen),
            seeds,
        )
    return parts


def joined(shards: Iterable[dict[str, Part]]) -> dict[str, Part]:
    """The methods of several trainers; where two have members of one, these stand together."""
    parts: dict[str, Part] = {}
    for name, part in (pair for shard in shards for pair in shard.items()):
        parts[name] = _concatenated(parts[name], part) if name in parts else part
    return parts


def _concatenated(one: Part, other: Part) -> Part:
    weights = {
        name: np.concatenate([one.weights[name], values], axis=_member_axis(name))
        for name, values in other.weights.items()
    }
    lambda_, seeds = (*one.lambda_, *other.lambda_), (*one.seeds, *other.seeds)
    return Part(one.shape, weights, one.target_domain, lambda_, seeds)


def _member_axis(key: str) -> int:
    """Statistics are (domain, member, feature), everything else (member, …)."""
    return int(key.endswith((".mean", ".variance")))
