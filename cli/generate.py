"""``hepdann generate``: train a generator, and draw events with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hepdann.display import command_line

from .interruption import interruptible
from .options import PATH, words
from .tables import counting


@click.group()
def command() -> None:
    """Train a network that draws events like those of a tensor file, and draw with it.

    Showers in a calorimeter are drawn by a conditional WGAN with gradient penalty, pictures by a
    DCGAN.
    """


@command.command()
@click.argument("tensors", type=PATH, required=False)
@click.option("-o", "--output", required=True, type=PATH,
              help="Folder of the generator, must not exist.")  # fmt: skip
@click.option("--condition", "conditions", multiple=True, callback=words, metavar="COLUMN",
              help="Spectator or feature that is asked for; repeatable. Of showers the energy of "
              "the particle comes first. The class always is.")  # fmt: skip
@click.option("--steps", type=int, help="Of the generator.  [default: 4000; of pictures 6000]")
@click.option("--batch-size", type=int, help="Events a step.  [default: 128; of pictures 64]")
@click.option("--learning-rate", type=float, help="[default: 0.001; of pictures 0.0004]")
@click.option("--hidden", help="Widths, or of pictures numbers of maps, with commas.  "
              "[default: 128,128,128; of pictures 64,32]")  # fmt: skip
@click.option("--latent", type=int,
              help="Random numbers of an event.  [default: 16; of pictures 64]")  # fmt: skip
@click.option("--seed", type=int, help="[default: 0]")
@click.option("--resume", is_flag=True, help="Go on with the training of the folder.")
def train(tensors: Path | None, output: Path, resume: bool, **given: Any) -> int:
    """Train a generator on the MC of TENSORS, images of one view, and judge it on the other splits.

    The folder holds generator.safetensors, validation.json and plots.
    """
    from hepdann.generators import train_generator, validate_generator

    options = {key: value for key, value in given.items() if value not in (None, [])}
    if "hidden" in options:
        options["hidden"] = [int(w) if w.isdigit() else w for w in options["hidden"].split(",")]
    hint = f"; go on with: {command_line('generate', 'train', '--resume', '-o', output)}"
    with interruptible(hint) as interruption, counting("generate", "training", "steps") as progress:
        generator = train_generator(
            tensors, output, options, resume=resume, progress=progress, stop=interruption
        )
    from hepdann.plotting import plot_generated

    judged = validate_generator(generator, output)
    plot_generated(output)
    for line in judged.lines:
        click.echo(line)
    more = ("--events", 100_000, "-o", "drawn.h5")
    click.echo(f"next: {command_line('generate', 'sample', output, *more)}")
    return 0


@command.command()
@click.argument("run", type=PATH)
@click.option("-o", "--output", required=True, type=PATH,
              help="Tensor file, or of showers FILE.root.")  # fmt: skip
@click.option("--events", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--at", "fixed", multiple=True, metavar="NAME=VALUE",
              help="Fix a condition: energy=50, class=photon; repeatable.  [default: as in the "
              "training events]")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def sample(run: Path, output: Path, events: int, fixed: tuple[str, ...], seed: int) -> None:
    """Draw events with the generator of RUN and write them."""
    from hepdann.generators import open_generator, write_generated
    from hepdann.store.paths import GeneratorPaths

    wrong = [text for text in fixed if "=" not in text]
    if wrong:
        raise click.UsageError(f"--at {wrong[0]!r} is not NAME=VALUE")
    generator = open_generator(run)
    given = {name.strip(): value.strip() for name, _, value in (t.partition("=") for t in fixed)}
    columns, label = generator.conditions(events, seed, given)
    for line in generator.beyond(columns):
        click.echo(f"note: {line}", err=True)
    with counting("generate", "drawing", "events") as progress:
        write_generated(generator, output, columns, label, seed=seed,
                        source=GeneratorPaths(run).model, progress=progress)  # fmt: skip
    click.echo(f"{output}  {events:,} events, {output.stat().st_size / 1e6:.1f} MB")
