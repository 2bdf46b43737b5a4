"""The files of a run and of a scan: what each is called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """What a run and a scan have in common."""

    folder: Path

    @property
    def config(self) -> Path:
        """Every setting that was used."""
        return self.folder / "config.yaml"

    @property
    def start_record(self) -> Path:
        """The settings and files that the training began with."""
        return self.folder / "origin.json"

    @property
    def history(self) -> Path:
        """Losses and accuracies, a row an epoch and network."""
        return self.folder / "history.csv"

    @property
    def log(self) -> Path:
        """The one file that is there from the start to the end; its lock is the folder's."""
        return self.folder / "log.txt"

    @property
    def plots(self) -> Path:
        """The folder of the figures."""
        return self.folder / "plots"

    @property
    def checkpoints(self) -> Path:
        """The folder of what a training needs that goes on."""
        return self.folder / "checkpoint"


@dataclass(frozen=True)
class RunPaths(Paths):
    """The files of a run."""

    @property
    def metrics(self) -> Path:
        """Every figure."""
        return self.folder / "metrics.json"

    @property
    def scores(self) -> Path:
        """What every method says of every event."""
        return self.folder / "scores.h5"

    @property
    def model(self) -> Path:
        """The networks, and all that scoring needs."""
        return self.folder / "model.safetensors"

    @property
    def conversion(self) -> Path:
        """How files became events, and which values their features had in training."""
        return self.folder / "conversion.json"

    @property
    def trained_events(self) -> Path:
        """The identity of every training event."""
        return self.folder / "trained_events.npy"

    @property
    def diagnosis(self) -> Path:
        """Whether MC and target differ."""
        return self.folder / "diagnosis.json"

    @property
    def calibration(self) -> Path:
        """The maps of the MC that networks were trained behind."""
        return self.folder / "calibrations.json"

    @property
    def recommendation(self) -> Path:
        """The method that is recommended, and why."""
        return self.folder / "recommendation.json"

    @property
    def working_points(self) -> Path:
        """The thresholds that were set after the training."""
        return self.folder / "working_points.json"

    @property
    def health(self) -> Path:
        """The figures of every network while it trained, and its faults."""
        return self.folder / "health.json"

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
    def has_checkpoint(self) -> bool:
        """Whether something of the run was trained."""
        return any(self.checkpoints.glob("stack-*.safetensors"))

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

    @property
    def summary(self) -> Path:
        """The figures of every method at every λ and target, and the choices."""
        return self.folder / "scan.json"

    @property
    def table(self) -> Path:
        """The figures of every network, a row each."""
        return self.folder / "scan.csv"

    @property
    def rocs(self) -> Path:
        """The ROC curves of the ensembles."""
        return self.folder / "rocs.json"

    @property
    def work(self) -> Path:
        """The folder of what a scan needs that goes on."""
        return self.checkpoints / "scan"


@dataclass(frozen=True)
class GeneratorPaths(Paths):
    """The files of a generator."""

    @property
    def record(self) -> Path:
        """The settings and the tensor file that the training began with."""
        return self.folder / "generator.json"

    @property
    def model(self) -> Path:
        """The generator, and all that drawing needs."""
        return self.folder / "generator.safetensors"

    @property
    def state(self) -> Path:
        """Where its training stands."""
        return self.checkpoints / "generator.safetensors"

    @property
    def validation(self) -> Path:
        """What it draws against events that it did not see."""
        return self.folder / "validation.json"
