"""Shows a training on a terminal, and as plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live as Display
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from .display import console as plain_console
from .display import table as plain_table

if TYPE_CHECKING:
    from .training import Progress as Step

_LINE_EVERY = 10.0  # seconds between plain lines


class Live:
    """A bar and a table of the methods on a terminal; a line every ten seconds elsewhere.

    Everything goes to stderr: stdout is for results.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or plain_console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(),
            console=self.console,
        )
        self._task: dict[str, TaskID] = {}
        self._step: Step | None = None
        self._last = 0.0
        self._display = Display(console=self.console, get_renderable=self._render)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._display.stop()

    def report(self, stage: str, step: Step | None) -> None:
        """Show a stage, or where the training within it stands."""
        if step is None:
            self.console.print(stage, highlight=False, markup=False, soft_wrap=True)
            return
        rate = f"epoch {step.epoch + 1}  {step.events_per_second / 1e3:,.0f}k events/s"
        if self.console.is_terminal:
            self._step = step
            if stage not in self._task:
                self._task[stage] = self.bar.add_task(stage, total=step.total, figures=rate)
            self.bar.update(self._task[stage], completed=step.step, figures=rate)
        elif step.step == step.total or time.monotonic() - self._last > _LINE_EVERY:
            self._last = time.monotonic()
            line = f"{stage}: step {step.step}/{step.total}  {rate}  loss {step.label_loss:.3f}"
            if step.domain_loss:  # 0 where no network has a domain head
                line += f"  domain loss {step.domain_loss:.3f}"
                line += f"  domain accuracy {step.domain_accuracy:.3f}"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _render(self) -> Group:
        """What the terminal shows now."""
        parts = [self.bar.get_renderable()] if self._task else []
        return Group(*parts, *([] if self._step is None else [_table(self._step)]))


def _table(step: Step) -> Table:
    """A row for each method: means over its networks since the epoch began."""
    table = plain_table()
    table.add_column("method", no_wrap=True)
    for title in ("networks", "λ·λ_p", "label loss", "domain loss", "domain accuracy"):
        table.add_column(title, justify="right")
    for method in step.methods:
        domain = (method.domain_loss, method.domain_accuracy)
        shown = [f"{figure:.3f}" if method.domain_loss else "-" for figure in domain]
        table.add_row(
            method.name,
            str(method.networks),
            f"{method.lambda_:.3g}",
            f"{method.label_loss:.3f}",
            *shown,
        )
    return table
