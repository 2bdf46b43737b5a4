"""``hepdann train``."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hepdann.config import Config
    from hepdann.runs import Run

__all__ = ["command"]

_SHIFTS = "identity, sine, sine-third, sine-cubed, sine-fifth, cosine, gaussian"
_METHODS = "source-only, dann, dann-alternating"


class Interruption:
    """Ctrl-C and SIGTERM ask the training to stop; a second one stops the program."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Whether the training shall stop."""
        return self.signal is not None

    @property
    def code(self) -> int:
        """Exit code: 128 + signal."""
        return 0 if self.signal is None else 128 + self.signal

    @contextmanager
    def listening(self) -> Iterator[Interruption]:
        """Listen for as long as the block runs."""

        def note(number: int, frame: object) -> None:
            del frame
            if self.signal is not None:
                raise KeyboardInterrupt
            self.signal = number
            click.echo("stopping after this step; writing what was trained so far …", err=True)

        kinds = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(kind, note) for kind in kinds]
        try:
            yield self
        finally:
            for kind, handler in zip(kinds, before, strict=True):
                signal.signal(kind, handler)


@click.command()
@click.argument("tensors", default="tensors.h5", type=click.Path(path_type=Path))
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option("--shift", help=f"Train on pseudo-data: {_SHIFTS}; a+b acts one after the other.")
@click.option("--t", type=float, help="Strength of the shift; larger t is a smaller shift.")
@click.option(
    "--method", "methods", multiple=True, help=f"{_METHODS}; repeatable.  [default: dann]"
)
@click.option("--lambda", "lambda_", type=float, help="Strength of the adversary.  [default: 1.0]")
@click.option("--seeds", type=int, help="Members a method.  [default: 5]")
@click.option("--seed", type=int, help="Seed of the first member.  [default: 0]")
@click.option("--epochs", type=int, help="Epochs; the last one is used.  [default: 20]")
@click.option("--batch-size", help="Events of each domain a step.  [default: auto]")
@click.option("--learning-rate", type=float, help="Of Adam, at the start.  [default: 0.002]")
@click.option("--schedule", help="Of the learning rate: cosine, constant.  [default: cosine]")
@click.option(
    "--normalisation",
    help="What batch normalisation sees: domain, shared; or layer, none.  "
    "[default: the method's own]",
)
@click.option("--extractor", metavar="W,W", help="Widths of the extractor.  [default: 32,32]")
@click.option("--label-head", metavar="W,W", help="Hidden widths; - is none.  [default: 16]")
@click.option("--domain-head", metavar="W,W", help="Hidden widths; - is none.  [default: 64,64]")
@click.option("--activation", help="relu, elu, gelu or tanh.  [default: relu]")
@click.option("--dropout", type=float, help="Share of activations dropped.  [default: 0]")
@click.option("--residual/--no-residual", default=None, help="Layers of one width add their input.")
@click.option("--device", help="auto, cpu, cuda or mps.  [default: auto]")
@click.option("--oracle/--no-oracle", default=None, help="Train the oracle where truth is known.")
@click.option("--config", "config_path", help="YAML file, or the name of a shipped one.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Run folder, must not exist.")
@click.option("--resume", is_flag=True, help="Go on with the unfinished run of -o.")
def command(
    tensors: Path,
    data: Path | None,
    config_path: str | None,
    output: Path | None,
    resume: bool,
    **flags: Any,
) -> int:
    """Train a domain-adversarial network and its baselines.

    TENSORS (default tensors.h5) holds the MC, and the data unless DATA does. With --shift and --t
    half of the MC becomes pseudo-data, whose truth only the evaluation sees.

    Ctrl-C leaves a whole run of what was trained so far.
    """
    from hepdann.errors import RunError
    from hepdann.runs import resume as resume_run

    from .live import Live

    if resume and output is None:
        raise click.UsageError("--resume needs the run's folder: -o runs/NAME")
    interruption = Interruption()
    try:
        with interruption.listening(), Live() as live:
            if resume and output is not None:
                run = resume_run(output, report=live.report, stop=interruption)
            else:
                run = _train(tensors, data, output, _config(config_path, flags), live, interruption)
    except RunError as error:
        if interruption.signal is None:
            raise
        click.echo(f"hepdann: {error}", err=True)  # before the first step there is no run yet
        return interruption.code
    _say(run)
    return interruption.code


def _config(path: str | None, flags: dict[str, Any]) -> Config:
    from hepdann.config import Config, load_config, override

    shift, t = flags.pop("shift"), flags.pop("t")
    methods = list(flags.pop("methods"))
    batch_size = flags.pop("batch_size")
    given: dict[str, Any] = {f"train.{key.rstrip('_')}": value for key, value in flags.items()}
    if batch_size is not None:
        given["train.batch_size"] = int(batch_size) if batch_size.isdigit() else batch_size
    for part in ("extractor", "label_head", "domain_head"):
        given[f"train.{part}"] = _widths(given[f"train.{part}"])
    if methods:
        given["train.methods"] = methods
    if (shift is None) != (t is None) and shift != "identity":
        missing = "--t" if t is None else "--shift"
        raise click.UsageError(f"a shift needs both --shift and --t; {missing} is missing")
    if shift is not None:
        given["train.shift"] = {"name": shift, "t": 1.0 if t is None else t}
    config = load_config(path, expand=False) if path is not None else Config()
    return override(config, {key: value for key, value in given.items() if value is not None})


def _widths(text: str | None) -> list[Any] | None:
    """``64,32`` as a list; what is no number is left for the configuration to refuse."""
    if text is None:
        return None
    words = [] if text == "-" else text.split(",")
    return [int(word) if word.strip().isdigit() else word for word in words]


def _train(
    tensors: Path,
    data: Path | None,
    output: Path | None,
    config: Config,
    live: Any,
    stop: Callable[[], bool],
) -> Run:
    from hepdann.runs import train

    return train(tensors, data=data, output=output, config=config, report=live.report, stop=stop)


def _say(run: Run) -> None:
    from .evaluate import show

    show(run.folder, run.metrics, brief=True)
    click.echo(f"run: {run.folder}")
    if run.metrics["interrupted"]:
        click.echo("interrupted: the figures are those of the epochs so far")
        click.echo(f"  to go on:     hepdann train --resume -o {run.folder}")
    click.echo(f"  the figures:  hepdann plot {run.folder}")
    click.echo(f"  the numbers:  hepdann evaluate {run.folder}")
