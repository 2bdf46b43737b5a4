"""Monitors one stack of a run: its health, and TensorBoard event files if they are wanted."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

from ..errors import ConfigError, RunError
from ..training import FIGURES, Health, StackTrainer
from .health_report import fault_lines


class Monitor:
    """Watches a stack, and changes nothing of its numbers.

    Make it before a checkpoint is loaded.

    Args:
        tensorboard: a folder for event files; ``None`` writes none.
    """

    def __init__(
        self,
        trainer: StackTrainer,
        notes: Path,
        *,
        tell: Callable[[str], None],
        tensorboard: Path | None,
    ) -> None:
        self.health = Health(trainer, notes)
        self._trainer, self._tell, self._tensorboard = trainer, tell, tensorboard
        self._events: EventFiles | None = None

    @contextmanager
    def monitored(self) -> Iterator[None]:
        """Watch for as long as the block runs; the checkpoint, if any, is loaded."""
        self.health.remember()
        with self._open() as self._events:
            try:
                yield
            except RunError:
                for line in fault_lines(self.health.fail()):
                    self._tell(line)
                raise

    def epoch(self) -> None:
        """Take note of an epoch; nothing where the stack stands within one."""
        trainer = self._trainer
        if trainer.position:
            return
        before = len(self.health.entries)
        for line in fault_lines(self.health.look()):
            self._tell(line)
        if self._events is not None:
            for row in trainer.history:
                if row["epoch"] == trainer.epoch:
                    self._events.history(row)
            for entry in self.health.entries[before:]:
                self._events.health(entry, trainer.epoch * trainer.settings.steps)

    def _open(self) -> EventFiles | nullcontext[None]:
        if self._tensorboard is None:
            return nullcontext()
        trainer = self._trainer
        names = [f"{m.label}-lambda{s:g}-seed{m.seed}" for m, s in zip(
            trainer.members, trainer.lambda_.tolist(), strict=True)]  # fmt: skip
        steps = trainer.epoch * trainer.settings.steps
        return EventFiles(self._tensorboard, names, steps)


# Columns of the history, and the tags that they are shown under. The target's true labels are not
# among them: whoever watches curves stops where they look best.
_TAGS = {
    "loss_label": "loss/label",
    "loss_domain": "loss/domain",
    "domain_accuracy": "domain/accuracy",
    "validation_loss": "validation/loss",
    "validation_accuracy": "validation/accuracy",
    "validation_loss_domain": "validation/domain_loss",
    "validation_domain_accuracy": "validation/domain_accuracy",
    "learning_rate": "schedule/learning_rate",
    "grl": "schedule/lambda",
}


def require_tensorboard() -> None:
    """Raise a ConfigError where the package is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "event files need the package tensorboard, which is not installed",
            where="train.tensorboard",
            mend='pip install "hepdann[tensorboard]", or leave --tensorboard out',
        )


class EventFiles:
    """Writes the curves of a stack, a folder for each network.

    Use as a context; at its end the files are whole. An epoch is written when it is told, so that
    a training that is killed has left what it did.

    Args:
        folder: ``tensorboard`` of a run.
        names: (K,) of the members; each names a folder.
    """

    def __init__(self, folder: Path, names: Sequence[str], step: int) -> None:
        module: Any = importlib.import_module("torch.utils.tensorboard")  # typed only if installed
        self._writers = [
            module.SummaryWriter(str(folder / name), purge_step=step + 1 if step else None)
            for name in names
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()

    def history(self, row: Mapping[str, Any]) -> None:
        """Write a row of the history."""
        values = {tag: row[column] for column, tag in _TAGS.items() if column in row}
        self._write(int(row["member"]), values, int(row["step"]))

    def health(self, entry: Mapping[str, Any], step: int) -> None:
        """Write a look at a network's health, after ``step`` steps."""
        self._write(int(entry["member"]), {f"health/{key}": entry[key] for key in FIGURES}, step)

    def _write(self, member: int, values: Mapping[str, float | None], step: int) -> None:
        writer = self._writers[member]
        for tag, value in values.items():
            if value is not None:
                writer.add_scalar(tag, value, step)
        writer.flush()
