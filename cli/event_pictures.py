"""``hepdann plot --events``: pictures of single events."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from .progress import counting


@dataclass(frozen=True)
class Events:
    """Which events are drawn: ``n`` of a file, from the one with number ``start``."""

    file: str | None
    n: int
    start: int
    domain: str | None


def event_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that choose events, as one argument ``events``."""

    @click.option(
        "--events",
        "file",
        metavar="FILE",
        help="Draw events instead of a run: of a tensor file with images, a ROOT tree of hits or "
        "an HDF5 file of images.",
    )
    @click.option("-n", "n", type=click.IntRange(1), default=8, help="Events.  [default: 8]")
    @click.option(
        "--start", type=click.IntRange(0), default=0, help="The first of them.  [default: 0]"
    )
    @click.option(
        "--domain", type=click.Choice(["mc", "data"]), help="Of a tensor file.  [default: mc]"
    )
    @functools.wraps(function)
    def wrapped(*, file: str | None, n: int, start: int, domain: str | None, **rest: Any) -> Any:
        return function(events=Events(file, n, start, domain), **rest)

    return wrapped


def draw_events(
    events: Events,
    run: Path | None,
    config_path: str | None,
    output: Path | None,
    look: dict[str, Any],
) -> None:
    """Draw one figure an event, and say where they are."""
    if events.file is None:
        raise click.UsageError("Missing argument 'RUN', or --events FILE")
    if run is not None:
        raise click.UsageError("draws either RUN or --events FILE, not both")
    from hepdann.config import Config, load_config, override
    from hepdann.plotting import plot_events

    config = (
        Config()
        if config_path is None
        else load_config(config_path, expand=False, known_names=False)
    )
    changes = {f"plots.{key}": value for key, value in look.items()}
    plots = override(config, changes, known_names=False).plots
    pictures, simulation = _pictures(events)
    folder = output or Path(f"{Path(events.file.rpartition('/')[2].split(':')[0]).stem}-events")
    with counting("plot", "drawing", "events") as progress:
        plot_events(pictures, folder, config=plots, simulation=simulation, progress=progress)
    count = len(pictures)
    click.echo(f"{count} event{'s' if count > 1 else ''} of {events.file} in {folder}")


def _pictures(events: Events) -> tuple[list[Any], bool]:
    """The pictures, and whether they are of simulation."""
    from hepdann.errors import SchemaError
    from hepdann.evaluation import event_pictures, tensor_pictures

    assert events.file is not None
    if _is_tensors(events.file):
        from hepdann.tensors import open_tensors

        tensors = open_tensors(events.file)
        domain = events.domain or "mc"
        if events.start >= tensors.rows(domain):
            raise SchemaError(
                f"has {tensors.rows(domain):,} events of {domain}, none with number {events.start}",
                where=events.file,
            )
        return tensor_pictures(tensors, domain, events.n, events.start), domain == "mc"
    if events.domain is not None:
        raise click.UsageError("--domain is of tensor files: name the file of MC or of data")
    from hepdann.readers.images import first_events

    quantity, images, columns = first_events(events.file, events.n, start=events.start)
    known = any(name.rpartition("/")[2] in ("segment", "segments") for name in columns)
    return event_pictures(images, columns, quantity=quantity, truth=known), known


def _is_tensors(file: str) -> bool:
    from .inspect import _kind

    return _kind(file) == "tensors"
