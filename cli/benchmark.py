"""``hepdann benchmark``: the experiments of the DANN paper, repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import tables
from .interruption import interruptible
from .options import PATH, shared, whole

if TYPE_CHECKING:
    from hepdann.experiments import Table

_WIDTH = 170


@click.command()
@click.argument("name")
@click.option("-o", "--output", required=True, type=PATH,
              help="Folder for all that is made; goes on where it was stopped.")  # fmt: skip
@click.option("--data", type=PATH,
              help="Folder with the data sets.  [default: what HEPDANN_DATA names]")  # fmt: skip
@click.option("--seeds", type=int, default=3, show_default=True, help="Networks of each method.")
@click.option("--epochs", type=int, help="Of each training.  [default: of the shipped config]")
@click.option("--workers", default="auto", show_default=True,
              help="Processes that train, or auto: as many as cores are free.")  # fmt: skip
@shared("json")
def command(name: str, output: Path, workers: str, as_json: bool, **options: Any) -> int:
    """Repeat an experiment of Ganin et al., JMLR 17 (2016) 59, with its networks and solver.

    NAME is moons, amazon, digits, signs or numbers. Beside the accuracy after the last epoch
    stand that of what a label-free figure chooses, and what a peek at the target's labels would
    have quoted.
    """
    from hepdann.experiments import benchmark
    from hepdann.live import Live

    with interruptible() as interruption, Live() as live:
        table = benchmark(
            name, output=output, workers=whole(workers), report=interruption.wrap(live.report),
            stop=interruption, **options,
        )  # fmt: skip
    made = [output / "table.md"]
    if table.planes:
        from hepdann.plotting.figures.planes import plot_planes

        made += plot_planes(table.planes, output)
    if as_json:
        click.echo(json.dumps(table.to_dict(), indent=1))
    else:
        _show(table)
        click.echo(f"made: {', '.join(map(str, made))}")
    return interruption.code


def _show(table: Table) -> None:
    from hepdann.experiments.benchmark import COLUMNS

    console = tables.console(_WIDTH)
    shown = tables.table(None, "experiment", "method", "seeds", *COLUMNS.values(), left=2)
    last = ""
    for row in table.rows():
        shown.add_row("" if row[0] == last else row[0], *row[1:])
        last = row[0]
    console.print(shown)
    for sentence in table.sentences:
        console.print(sentence)
