"""Shows how far a count has come: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from . import tables

_LINE_EVERY = 10.0  # seconds


@contextmanager
def counting(command: str, doing: str, what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that is called with what is done and what is there in all.

    Args:
        command: begins a plain line, as in ``hepdann: convert: 5 of 10 entries``.
        doing: begins the bar, as in ``converting``.
        what: is counted, as in ``entries``.
    """
    if not sys.stderr.isatty():
        last = time.monotonic()

        def line(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last > _LINE_EVERY:
                last = time.monotonic()
                click.echo(f"hepdann: {command}: {done:,} of {total:,} {what}", err=True)

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeRemaining

    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn(), what, TimeRemaining())
    with Progress(*columns, console=tables.console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
