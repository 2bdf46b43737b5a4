"""``hepdann tensors``: tensor files as files, joined, cut and shown."""

from __future__ import annotations

from pathlib import Path

import click

from .inspect import command as inspect_command
from .options import PATH
from .tables import counting

_OUTPUT = click.option("-o", "--output", type=PATH, required=True, help="Tensor file to write.")


@click.group()
def command() -> None:
    """Join tensor files (merge), take some of their events (slice), or show one (info)."""


@command.command()
@click.argument("files", nargs=-1, required=True, type=PATH)
@_OUTPUT
def merge(files: tuple[Path, ...], output: Path) -> None:
    """Join FILES of the same features and classes; their rows follow each other."""
    from hepdann.tensors import merge as join

    with counting("merge", "merging", "events") as progress:
        tensors = join(files, output, progress)
    click.echo(repr(tensors).strip("<>"))


@command.command("slice")
@click.argument("file", type=PATH)
@_OUTPUT
@click.option("--cut", help="Of its columns, as 'pt > 30'; of MC there is label too.")
@click.option("--domain", type=click.Choice(["mc", "data"]), help="Keep this one alone.")
def slice_(file: Path, output: Path, cut: str | None, domain: str | None) -> None:
    """Write the events of FILE that pass a cut; ids, splits and imputed values stay."""
    from hepdann.tensors import slice_rows

    if cut is None and domain is None:
        raise click.UsageError("name a --cut or a --domain")
    with counting("slice", "reading", "events") as progress:
        tensors = slice_rows(file, output, cut=cut, domain=domain, progress=progress)
    click.echo(repr(tensors).strip("<>"))


command.add_command(inspect_command, "info")
