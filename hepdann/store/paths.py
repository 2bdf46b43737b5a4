"""Where the files of a run, a scan and a generator are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class _Named:
    """A file or folder of the folder that it is asked of."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, paths: Paths, owner: type) -> Path:
        return paths.folder / self._name


@dataclass(frozen=True)
class Paths:
    """What a run and a scan have in common."""

    folder: Path

    config = _Named("config.yaml")  # every setting that was used
    start_record = _Named("origin.json")  # settings and files that the training began with
    history = _Named("history.csv")  # losses and accuracies, a row an epoch and network
    log = _Named("log.txt")  # the one file that is there from the start; its lock is the folder's
    plots = _Named("plots")  # folder of the figures
    checkpoints = _Named("checkpoint")  # folder of what a training needs that goes on


@dataclass(frozen=True)
class RunPaths(Paths):
    """The files of a run."""

    metrics = _Named("metrics.json")  # every figure
    scores = _Named("scores.h5")  # what every method says of every event
    model = _Named("model.safetensors")  # the networks, and all that scoring needs
    conversion = _Named("conversion.json")  # how files became events, and their ranges in training
    trained_events = _Named("trained_events.npy")  # the identity of every training event
    diagnosis = _Named("diagnosis.json")  # whether MC and target differ
    calibration = _Named("calibrations.json")  # maps of the MC that networks were trained behind
    recommendation = _Named("recommendation.json")  # the method that is recommended, and why
    working_points = _Named("working_points.json")  # thresholds that were set after the training
    health = _Named("health.json")  # figures of every network while it trained, and its faults

    def alignments(self, fold: int | None = None) -> Path:
        """The alignments that the worker processes of a run, or of a fold of it, train on."""
        return self.checkpoints / f"alignments{'' if fold is None else f'-{fold}'}.json"

    def checkpoint(self, shard: int) -> Path:
        """The state of a stack, or of a share of it."""
        return self.checkpoints / f"stack-{shard}.safetensors"

    def health_notes(self, shard: int) -> Path:
        """What was seen of the health of its networks so far."""
        return self.checkpoints / f"health-{shard}.json"

    def peek_notes(self, shard: int) -> Path:
        """What ``evaluation`` saw of its target accuracy so far."""
        return self.checkpoints / f"peek-{shard}.json"

    @property
    def before_training(self) -> set[Path]:
        """What a run writes before it trains."""
        records = {self.log, self.start_record, self.config, self.diagnosis, self.calibration}
        return records | {self.checkpoints}

    @property
    def is_whole(self) -> bool:
        """Whether all that a finished run has is there."""
        return all(p.is_file() for p in (self.model, self.history, self.scores, self.metrics))


@dataclass(frozen=True)
class ScanPaths(Paths):
    """The files of a scan."""

    summary = _Named("scan.json")  # figures of every method at every λ and target, and the choices
    table = _Named("scan.csv")  # figures of every network, a row each
    rocs = _Named("rocs.json")  # ROC curves of the ensembles
    work = _Named("checkpoint/scan")  # folder of what a scan needs that goes on


@dataclass(frozen=True)
class GeneratorPaths(Paths):
    """The files of a generator."""

    record = _Named("generator.json")  # settings and tensor file that the training began with
    model = _Named("generator.safetensors")  # the generator, and all that drawing needs
    state = _Named("checkpoint/generator.safetensors")  # where its training stands
    validation = _Named("validation.json")  # what it draws against events that it did not see
