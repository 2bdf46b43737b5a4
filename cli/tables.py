"""Tables, figures and counts for people; every command shows them through here.

Names of features, classes, methods and folders are the user's: a class ``W[/lv]`` is text, never
markup of rich.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hepdann.display import WIDTH, console
from hepdann.display import table as empty_table

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "WIDTH", "console", "counting", "echo_json", "figure", "measured", "plus_minus", "spread",
    "table",
]  # fmt: skip

_LINE_EVERY = 10.0  # seconds


def echo_json(content: Any) -> None:
    """Print a result: dataclasses as objects, paths as text, what is not finite as null."""
    from hepdann.outputs import jsonable

    click.echo(json.dumps(jsonable(content), indent=2, allow_nan=False, default=str))


def table(
    title: str | None = None, *columns: str, left: int = 1, rows: Iterable[Sequence[str]] = ()
) -> Table:
    """A table of which the first ``left`` columns hold text, and all others numbers."""
    made = empty_table(title)
    for number, name in enumerate(columns):
        made.add_column(name, justify="left" if number < left else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def plus_minus(value: float, error: float) -> str:
    """A figure with its error, both to two digits of the error: ``39,870 ± 210``."""
    if not error > 0:  # nor where it is not known
        return f"{value:,.6g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:,.{digits}f} ± {error:,.{digits}f}"


def figure(value: float | None, error: float | None = None, digits: int = 4) -> str:
    """A figure with its error, if there are any."""
    if value is None or not math.isfinite(value):
        return "-"
    text = f"{value:.{digits}f}"
    return text if error is None else f"{text} ± {error:.{digits}f}"


def measured(block: Mapping[str, Any], name: str, digits: int = 4) -> str:
    """A figure of a block of ``metrics.json``, whose error stands beside it."""
    return figure(block.get(name), block.get(f"{name}_error"), digits)


def spread(block: Mapping[str, Any]) -> str:
    """Mean ± standard deviation over networks."""
    return figure(block["mean"], block["std"])


@contextmanager
def counting(command: str, doing: str, what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that is called with what is done and what is there in all.

    It shows a bar on a terminal (``converting …``), and elsewhere a line every ten seconds
    (``hepdann: convert: 5 of 10 entries``).
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
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
