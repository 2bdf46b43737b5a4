"""What an object shows of itself: names cut short, and a small HTML table in notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["figure", "html_table", "listed"]

_MOST = 12  # names that are listed


def listed(names: Sequence[str], most: int = _MOST) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f", … ({more} more)" if more > 0 else "")


def figure(value: float | None, error: float | None = None) -> str:
    """A figure to four decimals, with its error if it has one; a dash where it does not exist."""
    if value is None:
        return "–"
    return f"{value:.4f}" if error is None else f"{value:.4f} ± {error:.4f}"


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text; none of it is taken for markup.

    Args:
        caption: stands above it.
        head: of the columns; empty for none.
        rows: the cells.
    """

    def row(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    lines = [f"<caption>{escape(caption)}</caption>"]
    if head:
        lines.append(f"<thead>{row(head, 'th')}</thead>")
    lines.append(f"<tbody>{''.join(row(cells, 'td') for cells in rows)}</tbody>")
    return f"<table>{''.join(lines)}</table>"
