"""``hepdann predict``: the scores of a run in files that run along the user's own."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import tables
from .options import PATH, shared, split_list, workers_on
from .tables import counting

if TYPE_CHECKING:
    from hepdann.inference import Prediction

_MOST_FEATURES = 10  # that are named
_PART = re.compile(r"(\d{1,9})/(\d{1,9})")


def _part(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, int]:
    del ctx, param
    match = _PART.fullmatch(value)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise click.BadParameter(f"'{value}' is not k/n with k from 1 to n, as 1/20")
    return int(match[1]), int(match[2])


@click.command(
    epilog="`hepdann predict runs/data-1 data.root -o scores` writes scores/data.scores.root: a "
    "tree of the same name with a row for each of the input, in its order."
)
@click.argument("run", type=PATH)
@click.argument("files", nargs=-1, required=True)
@click.option("-o", "--output", type=PATH, required=True,
              help="Folder; with one input a file of the right ending too.")  # fmt: skip
@click.option("--format", "kind", type=click.Choice(["tree", "rntuple", "parquet", "hdf5"]),
              help="What is written.  [default: by the ending of -o, or tree]")  # fmt: skip
@click.option("--method", help="Method of the run.  [default: the recommended one]")
@click.option("--columns", metavar="LIST",
              help="Columns that are written, beside the event id.  [default: all]")  # fmt: skip
@click.option("--keep", metavar="LIST", help="Branches that are passed through.")
@click.option("--into-copy", is_flag=True,
              help="Copies of the inputs with the new branches in their trees.")  # fmt: skip
@click.option("--sample", metavar="NAME",
              help="Sample of the run that files which it does not know are like.  "
              "[default: the data]")  # fmt: skip
@click.option("--tree", help="Tree to read.  [default: that of the run]")
@click.option("--block", type=click.IntRange(min=1), default=50_000, show_default=True,
              help="Entries read at a time.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True,
              help="Files at a time, each in a process.")  # fmt: skip
@shared("cluster")
@click.option("--part", metavar="K/N", default="1/1", callback=_part,
              help="Every N-th file, beginning with the K-th: one of N jobs.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@shared("json")
def command(
    run: Path,
    files: tuple[str, ...],
    output: Path,
    kind: Any,
    columns: str | None,
    keep: str | None,
    cluster: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Write what the networks of RUN say of every event of FILES, row by row.

    FILES are read as those were that RUN was trained on, by the same tree, features, cut and event
    ids. Each gives one output; it appears whole or not at all, and one that is there already, made
    of the same model, options and input, is left alone.
    """
    from hepdann.inference import predict

    if cluster is not None:
        asked = options["workers"] if options["workers"] > 1 else None
        options["workers"] = workers_on(cluster, asked)
    chosen = split_list(columns) or ()
    with counting("predict", "scoring", "entries") as progress:
        done = predict(
            run, files, output=output, format=kind, columns=chosen,
            keep=split_list(keep) or (), progress=progress, **options,
        )  # fmt: skip
    if as_json:
        tables.echo_json(done)
        return
    _show(done, marked=not chosen or "trained_on" in chosen)


def _show(done: Prediction, *, marked: bool) -> None:
    console = tables.console()
    if not done.files:
        console.print("none of the files is in this part: nothing is written")
        return
    heads = ("input", "as", "rows", "selected", "trained on")
    table = tables.table(f"Scores of {done.method}", *heads, left=2)
    table.add_column("output", overflow="fold")
    for file in done.files:
        trained = "unknown" if file.trained is None else f"{file.trained:,}"
        table.add_row(
            file.path,
            file.sample if file.known else f"{file.sample} (new)",
            f"{file.rows:,}",
            f"{file.selected:,}",
            trained,
            f"{file.output}{' (was there)' if file.before else ''}",
        )
    console.print(table)
    outside = Counter[str]()
    for file in done.files:
        outside.update(file.outside)
    selected = sum(file.selected for file in done.files)
    for name, count in outside.most_common(_MOST_FEATURES):
        share = f"{100 * count / selected:.2g} %"
        console.print(
            f"{name}: {count:,} of {selected:,} events ({share}) lie outside of what was trained on"
        )
    if len(outside) > _MOST_FEATURES:
        others = len(outside) - _MOST_FEATURES
        console.print(f"likewise of {others:,} other features, no more of each")
    if any(file.trained for file in done.files):
        mark = "trained_on = 1 in the output" if marked else "marked by the column trained_on"
        console.print(f"trained on: the scores of these events are too good ({mark})")
    if any(file.trained is None for file in done.files):
        console.print(
            "unknown: the files lack branches that identify the events of the training"
            + (" (trained_on = -1 in the output)" if marked else "")
        )
