"""How tables, lines and objects look for people, on a terminal and in notebooks.

The library shows something only where it is asked to (``progress=True``); commands do all else.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 110  # of tables that go to a file or a pipe
_MOST = 12  # names that are listed


def listed(names: Sequence[str], most: int = _MOST) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f", … ({more} more)" if more > 0 else "")


def command_line(*words: object) -> str:
    """What to type: a command of hepdann, quoted for the shell where that is needed."""
    return shlex.join(["hepdann", *map(str, words)])


def figure(value: float | None, error: float | None = None) -> str:
    """A figure to four decimals, with its error if it has one; a dash where it does not exist."""
    if value is None:
        return "–"
    return f"{value:.4f}" if error is None else f"{value:.4f} ± {error:.4f}"


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text with a caption and, if any, a head; none of it is taken for markup."""

    def row(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    lines = [f"<caption>{escape(caption)}</caption>"]
    if head:
        lines.append(f"<thead>{row(head, 'th')}</thead>")
    lines.append(f"<tbody>{''.join(row(cells, 'td') for cells in rows)}</tbody>")
    return f"<table>{''.join(lines)}</table>"


def console(width: int = WIDTH, *, stderr: bool = False) -> Console:
    """A console on which text is printed as it is: no markup, emoji codes or highlighting.

    ``width`` is that of what goes to a file or a pipe; a terminal has its own.
    """
    from rich.console import Console

    plain = Console(markup=False, emoji=False, highlight=False, stderr=stderr)
    if not plain.is_terminal:
        plain.width = width
    return plain


def table(title: str | None = None) -> Table:
    """An empty table with a rule below its headings, and a title above it, at the left."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    class Title(Text):
        """Is broken where the console ends, not where a narrow table does."""

        def __rich_console__(self, console: Console, options: Any) -> Any:
            return super().__rich_console__(console, options.update(width=console.width))

    text = None if title is None else Title(title, justify="default")  # no spaces behind it
    return Table(title=text, title_justify="left", title_style="", box=box.SIMPLE_HEAD)
