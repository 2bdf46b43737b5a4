"""``hepdann config``: write and check a YAML configuration, or print its schema."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .options import PATH

_SCHEMAS = (  # without importing what knows them
    "config", "metrics", "history", "recommendation", "diagnosis", "calibrations",
    "health", "working_points", "origin", "conversion", "model", "scan", "rocs",
)  # fmt: skip


@click.group(no_args_is_help=False)
def command() -> None:
    """Write or check a YAML configuration, or print its schema."""


def _deliver(text: str, output: Path | None, *, force: bool = False) -> None:
    """Print the text, or write it to a file, whole or not at all."""
    from hepdann.errors import ConfigError
    from hepdann.outputs import write_whole

    if output is None:
        click.echo(text, nl=False)
        return
    if output.exists() and not force:
        raise ConfigError("exists already", where=output, mend="add --force to replace it")
    write_whole(output, text.encode())
    click.echo(f"wrote {output}")


@command.command()
@click.argument("mc", metavar="FILE.root")
@click.argument("data", metavar="[DATA.root]", required=False)
@click.option("-o", "--output", type=PATH, help="File; default the screen.")
@click.option("--tree", help="Tree to read; default the only one, or the largest.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def init(mc: str, data: str | None, output: Path | None, tree: str | None, force: bool) -> None:
    """Write a commented YAML for given files.

    It is ready for `hepdann convert --config`.

    FILE.root and DATA.root are a path, a quoted glob, a comma-separated list, path:tree or a
    root:// address. Relative paths stay relative to the current directory.
    """
    from hepdann.readers.planning.initial_config import init_config

    def files(text: str | None) -> list[str]:
        return [part.strip() for part in (text or "").split(",") if part.strip()]

    _deliver(init_config(files(mc), files(data), tree=tree), output, force=force)


@command.command()
@click.option("-o", "--output", type=PATH, help="File; default the screen.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option("--of", type=click.Choice(_SCHEMAS), default="config", show_default=True,
              help="Of a configuration, or of a file of a run or scan.")  # fmt: skip
def schema(output: Path | None, force: bool, of: str) -> None:
    """Print the JSON Schema, with which an editor completes and checks."""
    from hepdann.config import json_schema
    from hepdann.store.working_points import file_schema

    content = json_schema() if of == "config" else file_schema(of)
    _deliver(json.dumps(content, indent=2) + "\n", output, force=force)


@command.command()
@click.argument("file")
def check(file: str) -> None:
    """Check a configuration.

    FILE is a YAML file or the name of a shipped configuration. If something is wrong, one line
    says what, and the exit code is 2. The first file of each sample must have the branches that are
    read. Input files need not be here: those that are not are noted.
    """
    from hepdann.config import expand_path, load_config
    from hepdann.readers import check_sample, parse

    config = load_config(file)
    cuts = {f"samples[{i}].cut": sample.cut for i, sample in enumerate(config.samples)}
    texts = {**cuts, "convert.cut": config.convert.cut}
    for i, figure in enumerate(config.plots.figures or []):
        for key in ("variable", "cut", "weight"):
            texts[f"plots.figures[{i}].{key}"] = getattr(figure, key, None)
        for j, text in enumerate(getattr(figure, "curves", ())):
            texts[f"plots.figures[{i}].curves[{j}]"] = text
    for key, text in texts.items():
        if text is not None:
            parse(text, what=f"{file}: {key}")
    notes: list[str] = []
    for i, sample in enumerate(config.samples):
        absent = [(path, note) for path in sample.files if (note := _note(path))]
        notes += [f"note: sample {sample.name}: {path}: {note}" for path, note in absent]
        if not absent and not any("://" in path for path in sample.files):
            files = [expand_path(path) for path in sample.files]
            expanded = sample.model_copy(update={"files": files})
            check_sample(expanded, config.convert, f"{file}: samples[{i}]")
    click.echo("\n".join([f"{file}: valid", *notes]))


def _note(path: str) -> str | None:
    """Why a file cannot be found, ``None`` if it is there or cannot be looked for from here."""
    import glob
    import re

    from hepdann.config import expand_path
    from hepdann.errors import ConfigError

    try:
        expanded = expand_path(path)
    except ConfigError as error:
        return error.message
    if "://" in expanded:
        return None
    candidates = (expanded, re.sub(r":[^/:]*$", "", expanded))  # path:tree
    return None if any(glob.glob(c) for c in candidates) else "no such file from here"  # noqa: PTH207
