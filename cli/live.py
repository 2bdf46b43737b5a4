"""Shows a training on a terminal, and as plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from hepdann.training import Progress as Step

__all__ = ["Live"]

_LINE_EVERY = 10.0  # seconds between plain lines


class Live:
    """A bar with the losses on a terminal; a line every ten seconds and an epoch's end elsewhere.

    Everything goes to stderr: stdout is for results.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task: dict[str, TaskID] = {}
        self._last = 0.0

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def report(self, stage: str, step: Step | None) -> None:
        """Show a stage, or where the training within it stands."""
        if step is None:
            self.console.print(stage, highlight=False)
            return
        figures = (
            f"epoch {step.epoch + 1}  loss {step.label_loss:.3f}  "
            f"domain loss {step.domain_loss:.3f}  domain accuracy {step.domain_accuracy:.3f}  "
            f"{step.events_per_second / 1e3:,.0f}k events/s"
        )
        if self.console.is_terminal:
            self._show(stage, step, figures)
        elif step.step == step.total or time.monotonic() - self._last > _LINE_EVERY:
            self._last = time.monotonic()
            line = f"{stage}: step {step.step}/{step.total}  {figures}"
            self.console.print(line, highlight=False, soft_wrap=True)

    def _show(self, stage: str, step: Step, figures: str) -> None:
        if stage not in self._task:
            self._task[stage] = self.bar.add_task(stage, total=step.total, figures=figures)
        self.bar.update(self._task[stage], completed=step.step, figures=figures)
