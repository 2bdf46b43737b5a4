"""How tables and lines look for people: text is printed as it is.

The library shows something only where it is asked to (``progress=True``); commands do all else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["WIDTH", "console", "table"]

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
