"""Tables as people see them."""

from __future__ import annotations

import io

from rich.console import Console

from hepdann.display import table


def test_a_title_is_longer_than_a_narrow_table_and_not_than_the_console():
    made = table("A title of [many] words that is longer than its table")
    made.add_column("a")
    made.add_row("1")
    lines = {}
    for width in (80, 20):
        out = io.StringIO()
        Console(file=out, width=width).print(made)
        lines[width] = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines[80][0] == "A title of [many] words that is longer than its table"
    assert lines[20][:3] == ["A title of [many]", "words that is longer", "than its table"]
    assert lines[80][1:] == lines[20][3:]
