"""hepdann simulate: a toy sample as real input files."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from .progress import counting

__all__ = ["command"]


@click.command(context_settings={"show_default": True})
@click.argument("name")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for mc.root and data.root; made if it is not there.",
)
@click.option("--events", type=int, default=40_000, help="Jets in each file, two an event number.")
@click.option("--seed", type=int, default=0, help="The same seed writes the same values.")
@click.option(
    "--truth", is_flag=True, help="Write the labels of the data too, to truth.root, for studies."
)
def command(name: str, output: Path, events: int, seed: int, truth: bool) -> None:
    """Write a toy sample as real ROOT files.

    NAME is bjets: b and light jets in the likeness of the ALEPH sample, with data that differ
    mildly from the MC.
    """
    from hepdann import samples

    with counting("simulate", f"simulating {name}", "jets") as progress:
        paths = samples.write(name, output, events, seed, truth, progress=progress)
    for path in paths:
        click.echo(f"{path}  {events:,} jets, tree jets, {path.stat().st_size / 1e6:.1f} MB")
    mc, data, *others = map(str, paths)
    extra = ["--truth", others[0]] if others else []
    click.echo("next: " + shlex.join(["hepdann", "convert", mc, data, *extra]))
