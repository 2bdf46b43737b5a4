"""Tables and lines for people; every command prints them through here.

Names of features, classes, methods and folders are the user's: a class ``W[/lv]`` is text, never
markup of rich.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["WIDTH", "console", "plus_minus", "table"]

WIDTH = 110  # of tables that go to a file or a pipe


def console(width: int = WIDTH, *, stderr: bool = False) -> Console:
    """A console on which text is printed as it is: no markup, emoji codes or highlighting.

    Args:
        width: of what goes to a file or a pipe; a terminal has its own.
        stderr: print there instead of to stdout.
    """
    from rich.console import Console

    plain = Console(markup=False, emoji=False, highlight=False, stderr=stderr)
    if not plain.is_terminal:
        plain.width = width
    return plain


def table(title: str | None = None) -> Table:
    """An empty table with a rule below its headings.

    Args:
        title: printed above it, at the left.
    """
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD)


def plus_minus(value: float, error: float) -> str:
    """A figure with its error, both to two digits of the error: ``39,870 ± 210``."""
    if error <= 0:
        return f"{value:,.6g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:,.{digits}f} ± {error:,.{digits}f}"
