"""Tables as people see them."""

from __future__ import annotations

import io
import math

from rich.console import Console

from hepdann.display import table
from hepdann_cli.tables import plus_minus


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


def test_a_figure_whose_error_is_not_known_stands_alone():
    """As t where 1/t is 0, of a calibration that finds no shift."""
    assert plus_minus(math.inf, math.nan) == "inf"
    assert plus_minus(3.0, 0.0) == "3"
    assert plus_minus(39_872.0, 213.0) == "39,872 ± 213"
