"""``hepdann report``: runs as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH
from .tables import counting


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", default="report.html", show_default=True, type=PATH,
              help="The page; it is replaced whole.")  # fmt: skip
@click.option("--title", help="Of the page.  [default: the names of the runs]")
@click.option(
    "--style", help="ATLAS, CMS, LHCb, ALICE, DUNE or ROOT.  [default: the run's, or ROOT]"
)
@click.option("--experiment", help="Name printed on the figures.  [default: the run's]")
@click.option("--text", help="Printed after the name, e.g. Preliminary.  [default: the run's]")
@click.option("--workers", type=click.IntRange(min=1),
              help="Processes that draw.  [default: up to 4 for many figures]")  # fmt: skip
def command(
    runs: tuple[Path, ...], output: Path, title: str | None, workers: int | None, **look: str | None
) -> None:
    """Write RUNS as one self-contained HTML page that opens offline.

    It shows what was trained on what, the diagnosis, the table of methods and every figure. Figures
    that `hepdann plot` has drawn are taken as they are, if nothing has changed since.
    """
    from hepdann.store.paths import explain_absent

    for run in runs:
        if not run.is_dir():
            raise explain_absent(run)
    from hepdann.reporting import report

    with counting("report", "drawing", "figures") as progress:
        path = report(runs, output, title=title, look=look, progress=progress, workers=workers)
    click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
