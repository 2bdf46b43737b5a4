"""``hepdann compare``: several runs in one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import tables
from .options import PATH, look_of_figures, shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hepdann.reporting import MethodRow

_WIDTH = 180  # of a table that goes to a file or a pipe


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--csv", "csv_path", type=PATH, help="Write the table as CSV.")
@click.option("--latex", "latex_path", type=PATH, help="Write it as a LaTeX tabular with errors.")
@click.option("-o", "--output", type=PATH,
              help="Folder for the runs' ROC curves, one figure a method and domain.")  # fmt: skip
@shared("style", "experiment", "text", "json")
def command(
    runs: tuple[Path, ...],
    csv_path: Path | None,
    latex_path: Path | None,
    output: Path | None,
    as_json: bool,
    **look: str | None,
) -> None:
    """Put the methods of RUNS side by side: figures of held-out events, with errors.

    Generators, of `hepdann generate train`, have a line each.
    """
    plots = look_of_figures(output, "-o", **look)
    from hepdann.outputs import write_whole
    from hepdann.reporting import methods_table, named_runs, to_csv, to_latex

    opened = named_runs(runs)
    rows = methods_table(opened)
    lines: list[str] = []
    for path, text in ((csv_path, to_csv), (latex_path, to_latex)):
        if path is not None:
            write_whole(path, text(rows).encode())
            lines.append(f"table: {path}")
    if output is not None:
        from hepdann.plotting import plot_comparison
        from hepdann.runs import Run

        folders = {name: one.folder for name, one in opened.items() if isinstance(one, Run)}
        made = plot_comparison(folders, output, plots)
        stems = list(dict.fromkeys(file.stem for file in made))
        lines.append(f"{len(stems)} figures in {output}: {', '.join(stems)}")
    if as_json:
        tables.echo_json([_to_json(row) for row in rows])
        return
    _show(rows)  # last: a reader who leaves (`| head`) costs no file
    for line in lines:
        click.echo(line)


def _to_json(row: MethodRow) -> dict[str, Any]:
    """The row, with its figures by the names that they have in the CSV."""
    from hepdann.reporting import COLUMNS

    named = zip(COLUMNS, row.cells, strict=True)
    figures = {column.key: {"value": cell.value, "error": cell.error} for column, cell in named}
    return {key: value for key, value in vars(row).items() if key != "cells"} | {"figures": figures}


def _show(rows: Sequence[MethodRow]) -> None:
    from hepdann.reporting import shown

    console = tables.console(_WIDTH)
    columns = shown(rows)
    table = tables.table(None, "run", "target", "method", left=3)
    for _, column in columns:
        table.add_column(column.title, justify="right", no_wrap=True)
    last = ""
    for row in rows:
        if last and row.run != last:
            table.add_section()
        names = [row.run, row.target] if row.run != last else ["", ""]
        last = row.run
        method = f"{row.method} *" if row.recommended else row.method
        table.add_row(
            *names,
            method,
            *(row.cells[i].text() for i, _ in columns),
            style="bold" if row.recommended else "",
        )
    console.print(table)
    epochs = ", ".join(dict.fromkeys(row.selection for row in rows if row.selection))
    if epochs:
        console.print(f"epoch: {epochs}; none by a target label")
    if any(row.recommended for row in rows):
        console.print("* recommended, without a target label")
