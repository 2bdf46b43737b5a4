"""Watches one stack of a run: its health, and the event files if they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from ..errors import RunError
from ..training import Health, StackTrainer
from .health_report import lines_of
from .tensorboard import EventFiles

__all__ = ["Monitor"]


class Monitor:
    """Watches a stack, and changes nothing of its numbers.

    Make it before a checkpoint is loaded.

    Args:
        trainer: the stack.
        folder: of the run.
        number: of the stack.
        tell: is given a line for each fault that is seen.
        tensorboard: whether to write event files.

    Attributes:
        health: what is seen of the networks.
    """

    def __init__(
        self,
        trainer: StackTrainer,
        folder: Path,
        number: int,
        *,
        tell: Callable[[str], None],
        tensorboard: bool,
    ) -> None:
        self.health = Health(trainer, folder / "checkpoint" / f"health-{number}.json")
        self._trainer, self._folder, self._tell = trainer, folder, tell
        self._tensorboard = tensorboard
        self._events: EventFiles | None = None

    @contextmanager
    def monitored(self) -> Iterator[None]:
        """Watch for as long as the block runs; the checkpoint, if any, is loaded."""
        self.health.remember()
        with self._open() as self._events:
            try:
                yield
            except RunError:
                for line in lines_of(self.health.fail()):
                    self._tell(line)
                raise

    def epoch(self) -> None:
        """Take note of an epoch; nothing where the stack stands within one."""
        trainer = self._trainer
        if trainer.position:
            return
        before = len(self.health.entries)
        for line in lines_of(self.health.look()):
            self._tell(line)
        if self._events is not None:
            for row in trainer.history:
                if row["epoch"] == trainer.epoch:
                    self._events.history(row)
            for entry in self.health.entries[before:]:
                self._events.health(entry, trainer.epoch * trainer.settings.steps)

    def _open(self) -> EventFiles | nullcontext[None]:
        if not self._tensorboard:
            return nullcontext()
        trainer = self._trainer
        names = [f"{m.label}-lambda{s:g}-seed{m.seed}" for m, s in zip(
            trainer.members, trainer.lambda_.tolist(), strict=True)]  # fmt: skip
        steps = trainer.epoch * trainer.settings.steps
        return EventFiles(self._folder / "tensorboard", names, steps)
