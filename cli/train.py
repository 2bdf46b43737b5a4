"""``hepdann train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hepdann.display import command_line
from hepdann.registry import ALIGNMENTS, METHODS, NETWORKS, SHIFTS

from .interruption import interruptible
from .options import (
    COLUMNS,
    PATH,
    columns_of,
    config_of,
    refuse_unheeded,
    separate,
    shared,
    whole,
    with_workers,
    words,
)


@click.command()
@click.argument("tensors", default="tensors.h5", type=PATH)
@click.argument("data", required=False, type=PATH)
@click.option(
    "--shift", help=f"Train on pseudo-data: {', '.join(SHIFTS)}; a+b acts one after the other."
)
@click.option("--t", type=float, help="Of the shift; larger t is a smaller shift.")
@click.option(
    "--method", "methods", multiple=True, callback=words,
    help=f"{', '.join(METHODS)}; quantile+dann trains on the aligned target; repeatable, takes "
    "commas.  "
    "[default: dann]",
)  # fmt: skip
@click.option("--auxiliary", "auxiliaries", multiple=True, callback=words, metavar="NAME:T",
              help="Shift of a labelled copy of the MC for the hybrid methods; repeatable.  "
              "[default: sine-third and sine-fifth at --t]")  # fmt: skip
@click.option(
    "--adversary",
    help="Of the hybrid methods: binary (labelled or target), per-domain.  [default: binary]",
)
@click.option("--alignment", "alignments", multiple=True, callback=words,
              help=f"{', '.join(ALIGNMENTS)}; a+b acts one after the other; repeatable.  "
              "[default: quantile, affine+quantile]")  # fmt: skip
@click.option(
    "--family", "families", multiple=True, metavar="NAME",
    help="Of the calibrated methods, as hepdann calibrate takes it; repeatable, takes commas.  "
    "[default: all shifts but that of the target, and free]",
)  # fmt: skip
@click.option("--hold-fractions", is_flag=True, default=None,
              help="Of the calibrated methods: keep the class fractions of MC.")  # fmt: skip
@click.option("--lambda", "lambda_", type=float,
              help="Factor of the reversed domain gradient.  [default: 1.0]")  # fmt: skip
@shared(*COLUMNS, "seeds", "seed")
@click.option(
    "--folds", type=int, metavar="K",
    help="Train K times, each without one part of the events, and score every event by networks "
    "that did not see it.  [default: off]",
)  # fmt: skip
@click.option("--epochs", type=int, help="Epochs at most.  [default: 20]")
@shared("batch-size")
@click.option("--optimiser", help="adam, adamw or sgd.  [default: adam]")
@click.option(
    "--learning-rate", metavar="R[,R]",
    help="Before the schedule acts; several: the seeds of each method in turn.  [default: 0.002]",
)  # fmt: skip
@click.option("--weight-decay", type=float, help="Of the optimiser.  [default: 0]")
@click.option(
    "--schedule",
    help="Of the learning rate: cosine, constant, step, inverse, plateau.  [default: cosine]",
)
@click.option("--lambda-schedule", help="ganin, constant, linear or adaptive.  [default: ganin]")
@click.option("--patience", type=int,
              help="Epochs without a better validation loss.  [default: 0, no stop]")  # fmt: skip
@click.option("--choose", help="Epoch that is used: last, or best on MC.  [default: last]")
@click.option("--normalisation",
              help="What batch normalisation sees: domain, shared; or layer, none.  "
              "[default: the method's own]")  # fmt: skip
@click.option(
    "--network",
    help=f"{', '.join(NETWORKS)}; minerva-… are of hit images, ganin-… of pictures.  "
    "[default: minerva-small, ganin-mnist; of features the perceptron below]",
)
@click.option("--autocast", help="Of images: none, bf16, fp16 or auto.  [default: none]")
@click.option("--extractor", metavar="W,W", help="Widths of the extractor.  [default: 32,32]")
@click.option("--label-head", metavar="W,W", help="Hidden widths; - is none.  [default: 16]")
@click.option("--domain-head", metavar="W,W", help="Hidden widths; - is none.  [default: 64,64]")
@click.option("--activation", help="relu, elu, gelu, tanh or sigmoid.  [default: relu]")
@click.option("--dropout", type=float, help="Share of activations dropped.  [default: 0]")
@click.option("--residual/--no-residual", default=None, help="Layers of one width add their input.")
@shared("device", "workers", "memory")
@click.option("--tensorboard", is_flag=True, default=None, help="Write TensorBoard event files.")
@click.option("--timing", is_flag=True, help="Say where the time went.")
@click.option("--deterministic", is_flag=True, default=None,
              help="The same bits every time, also on a GPU.")  # fmt: skip
@click.option("--engine", help="torch; fused: compiled code for the CPU.  [default: auto]")
@click.option("--diagnose/--no-diagnose", default=None,
              help="Ask first whether there is a shift at all.")  # fmt: skip
@shared("oracle", "config", "output")
@click.option(
    "--resume", is_flag=True,
    help="Go on with the unfinished run of -o; with TENSORS, begin it if it is not there.",
)  # fmt: skip
@click.option("--find-lr", is_flag=True, help="Suggest a learning rate, and train nothing.")
def command(
    tensors: Path,
    data: Path | None,
    config_path: str | None,
    output: Path | None,
    resume: bool,
    timing: bool,
    find_lr: bool,
    **flags: Any,
) -> int:
    """Train a domain-adversarial network and its baselines.

    TENSORS (default tensors.h5) holds the MC, and the data unless DATA does. With --shift and --t
    half of the MC becomes pseudo-data, whose truth only the evaluation sees.

    Ctrl-C writes a checkpoint and a whole run of what was trained so far, and leaves with exit code
    130. SIGTERM and SIGUSR1, as of a batch system, and SIGHUP, as of a terminal that is closed,
    write a checkpoint and leave at once with 143.
    """
    from hepdann.live import Live

    if find_lr:
        _suggest(tensors, data, config_path, flags)
        return 0
    if resume and output is None:
        raise click.UsageError("--resume needs the run's folder: -o runs/NAME")
    source = click.get_current_context().get_parameter_source("tensors")
    named = source is not click.core.ParameterSource.DEFAULT
    with interruptible() as interruption, Live() as live:
        from hepdann import runs  # torch: not before somebody listens
        from hepdann.config import override
        from hepdann.store.training_record import given_settings, has_begun

        config, given = config_of(config_path), _flags(flags)
        hooks: dict[str, Any] = {
            "report": interruption.wrap(live.report), "stop": interruption,
            "partial": interruption.partial,
        }  # fmt: skip
        if resume and output is not None and (has_begun(output) or not named):
            hooks |= {"tensors": tensors, "data": data} if named else {}
            run = runs.resume(output, given=given_settings(config, given), **hooks)
        else:
            config = refuse_unheeded(override(with_workers(config), given), given)
            run = runs.train(tensors, data=data, output=output, config=config, **hooks)
    from .evaluate import show, show_timing

    if not runs.first_process():
        return interruption.code
    show(run.folder, run.metrics, brief=True)
    click.echo(f"run: {run.folder}")
    if run.metrics.get("interrupted"):
        click.echo("interrupted: the figures are those of the epochs so far")
        click.echo(f"  to go on:     {command_line('train', '--resume', '-o', run.folder)}")
    click.echo(f"  the figures:  {command_line('plot', run.folder)}")
    click.echo(f"  the numbers:  {command_line('evaluate', run.folder)}")
    if timing:
        show_timing(run.metrics)
    return interruption.code


def _suggest(
    tensors: Path, data: Path | None, config_path: str | None, flags: dict[str, Any]
) -> None:
    from hepdann import open_tensors
    from hepdann.config import override
    from hepdann.runs import suggest_rates

    second = None if data is None else open_tensors(data)
    stacks = suggest_rates(
        open_tensors(tensors), override(config_of(config_path), _flags(flags)), data=second
    )
    for stack in stacks:
        rates = stack.rates
        click.echo(
            f"{', '.join(stack.methods)}: --learning-rate {rates.suggestion:.1g} (the loss falls "
            f"fastest at {rates.steepest.min():.1g}, and no more beyond {rates.lowest.min():.1g})"
        )


def _flags(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags by dotted key; ``None`` marks one that was not given."""
    shift, t = flags.pop("shift"), flags.pop("t")
    lists = {name: flags.pop(name) for name in ("methods", "alignments")}
    lists["auxiliary_shifts"] = [_auxiliary(text) for text in flags.pop("auxiliaries")]
    lists["calibration.families"] = separate(flags.pop("families"))
    given: dict[str, Any] = {f"train.{name}": value or None for name, value in lists.items()}
    given["train.calibration.hold_fractions"] = flags.pop("hold_fractions")
    given |= columns_of(flags)
    for key, value in flags.items():
        read = _READ.get(key)
        given[f"train.{key.rstrip('_')}"] = read(value) if read and value is not None else value
    if (shift is None) != (t is None) and shift != "identity":
        missing = "--t" if t is None else "--shift"
        raise click.UsageError(f"a shift needs both --shift and --t; {missing} is missing")
    if shift is not None:
        given["train.shift"] = {"name": shift, "t": 1.0 if t is None else t}
    return given


def _auxiliary(text: str) -> dict[str, Any]:
    """``sine-third:3`` as the configuration has it."""
    name, colon, t = text.rpartition(":")
    try:
        return {"name": name if colon else t, "t": float(t)}
    except ValueError:
        raise click.UsageError(
            f"--auxiliary takes NAME:T, for example sine-third:3, not {text!r}"
        ) from None


def _rates(text: str) -> float | list[float]:
    """``0.002``, or ``0.002,0.001`` as a list."""
    try:
        rates = [float(word) for word in text.split(",")]
    except ValueError:
        raise click.UsageError(f"--learning-rate takes numbers, not {text!r}") from None
    return rates[0] if len(rates) == 1 else rates


def _widths(text: str) -> list[Any]:
    """``64,32`` as a list; what is no number is left for the configuration to refuse."""
    words = [] if text == "-" else text.split(",")
    return [int(word) if word.strip().isdigit() else word for word in words]


_READ = {"batch_size": whole, "workers": whole, "learning_rate": _rates} | dict.fromkeys(
    ("extractor", "label_head", "domain_head"), _widths
)
