"""``hepdann report``: runs as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from .progress import counting

__all__ = ["command"]


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    default="report.html",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The page; it is replaced whole.",
)
@click.option("--title", help="Of the page.  [default: the names of the runs]")
def command(runs: tuple[Path, ...], output: Path, title: str | None) -> None:
    """Write RUNS as one self-contained HTML page that opens offline.

    It shows what was trained on what, the diagnosis, the table of methods and every figure.
    """
    from hepdann.reporting import report

    with counting("report", "drawing", "figures") as progress:
        path = report(runs, output, title=title, progress=progress)
    click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
