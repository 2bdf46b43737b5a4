"""``hepdann scan``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import tables
from .interruption import Interruption
from .options import COLUMNS, columns_of, shared, whole, with_workers, workers_on

if TYPE_CHECKING:
    from hepdann.config import Config
    from hepdann.runs import Scan


def _words(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    del ctx, param
    return None if value is None else [word.strip() for word in value.split(",") if word.strip()]


def _numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> list[float] | None:
    words = _words(ctx, param, value)
    try:
        return None if words is None else [float(word) for word in words]
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 1,2,3") from None


@click.command()
@click.argument("tensors", default="tensors.h5", type=click.Path(path_type=Path))
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option(
    "--shift", "shifts", callback=_words, metavar="NAME,…", help="Shifts, each at every t."
)
@click.option("--t", callback=_numbers, metavar="T,…", help="Of the shifts.  [default: 1,2,3,5,8]")
@click.option(
    "--lambda",
    "lambda_",
    callback=_numbers,
    metavar="λ,…",
    help="Factors of the reversed domain gradient.  [default: 0.1,0.3,1,3]",
)
@click.option("--methods", callback=_words, metavar="M,…", help="As in train.  [default: dann]")
@click.option(
    "--alignments", callback=_words, metavar="A,…",
    help="Maps of the target, as in train.  [default: quantile]",
)  # fmt: skip
@shared(*COLUMNS, "seeds", "seed")
@click.option("--epochs", type=int, help="Epochs; the last one is used.  [default: 20]")
@shared("batch-size")
@click.option("--learning-rate", type=float, help="Of Adam, at the start.  [default: 0.002]")
@click.option("--normalisation", help="domain, shared, layer, none.  [default: the method's own]")
@click.option("--stack", help="Networks that train side by side.  [default: auto]")
@click.option("--memory", help="auto, resident or blocks (of a file larger than memory).")
@shared("device", "workers", "cluster", "oracle", "config", "output")
@click.option("--resume", is_flag=True, help="Go on with the unfinished scan of -o.")
def command(
    tensors: Path,
    data: Path | None,
    config_path: str | None,
    output: Path | None,
    resume: bool,
    **flags: Any,
) -> int:
    """Train a whole grid: shifts x t x lambda x methods x seeds.

    TENSORS (default tensors.h5) holds the MC. With --shift half of it becomes pseudo-data, at every
    t; without, the target is the data, of TENSORS or of DATA. The figures are drawn by `hepdann
    plot` of the folder.

    Ctrl-C writes what is whole so far, and says how to go on.
    """
    from hepdann.errors import Interrupted
    from hepdann.live import Live
    from hepdann.runs import resume_scan, scan

    if resume and output is None:
        raise click.UsageError("--resume needs the scan's folder: -o runs/NAME")
    if resume:
        _only_resume(click.get_current_context())
    if flags["t"] is not None and flags["shifts"] is None and config_path is None and not resume:
        raise click.UsageError("--t belongs to a shift; name it: --shift sine")
    flags["workers"] = workers_on(flags.pop("cluster"), flags["workers"])
    interruption = Interruption()
    try:
        with interruption.listening(), Live() as live:
            if resume and output is not None:
                result = resume_scan(
                    output,
                    workers=flags["workers"],
                    report=interruption.wrap(live.report),
                    stop=interruption,
                )
            else:
                config = _config(config_path, flags)
                result = scan(
                    tensors,
                    data=data,
                    output=output,
                    config=config,
                    report=interruption.wrap(live.report),
                    stop=interruption,
                )
    except Interrupted as error:
        click.echo(f"hepdann: {error}", err=True)
        return interruption.code
    except KeyboardInterrupt as error:
        return interruption.left(error)
    _say(result)
    return interruption.code


def _only_resume(context: click.Context) -> None:
    """Refuse what a resume would not heed: a scan goes on with what it began with."""
    heeded = ("output", "resume", "workers", "cluster")
    for param in context.command.params:
        name = str(param.name)
        given = context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
        if given and isinstance(param, click.Option) and name not in heeded:
            raise click.UsageError(
                f"--resume takes everything from the scan's folder; leave out {param.opts[0]}"
            )


def _config(path: str | None, flags: dict[str, Any]) -> Config:
    from hepdann.config import Config, load_config, override

    grid = {name: name for name in ("shifts", "t", "alignments", "stack")} | {"lambda_": "lambda"}
    given = {f"scan.{key}": whole(flags.pop(name)) for name, key in grid.items()}
    flags["batch_size"] = whole(flags["batch_size"])
    given |= columns_of(flags)
    given |= {f"train.{key}": value for key, value in flags.items()}
    config = load_config(path, expand=False) if path is not None else Config()
    return override(with_workers(config), {k: v for k, v in given.items() if v is not None})


_OF_NUISANCE = ("nuisance_rejection", "nuisance_inverse_jsd")


def show(scan: Scan) -> None:
    """Print the table of a scan and what it means."""
    from hepdann.runs.health_report import scan_lines

    console = tables.console()
    summary = scan.summary
    chosen = {(c["method"], c["shift"], c["t"]): c["lambda"] for c in summary["choices"]}
    columns = ["λ", "target accuracy", "target AUC", "consistency", "gap closed", "peeked"]
    table = tables.table()
    table.box, table.pad_edge = None, False
    nuisance = [g for g in summary["groups"] if g["ensemble"].get(_OF_NUISANCE[0]) is not None]
    columns += ["rejection", "1/JSD"] if nuisance else []
    table.add_column("target")
    table.add_column("method")
    for column in columns:
        table.add_column(column, justify="right")
    for group in summary["groups"]:
        place = group["method"], group["shift"], group["t"]
        if group["lambda"] == chosen[place]:
            found = [group["ensemble"].get(name) for name in _OF_NUISANCE] if nuisance else []
            table.add_row(*_row(group), *("-" if v is None else f"{v:.3g}" for v in found))
    console.print(f"{scan.folder}: mean of the networks of each method, last epoch, ± their spread")
    console.print(table)
    for name in ("diagnosis", "fractions"):
        for sentence in filter(None, summary.get(name, ())):
            console.print(f"{name}: {sentence}")
    if any(choice["criterion"] for choice in summary["choices"]):
        console.print("λ: chosen by agreement with the aligned teacher; no target label took part")
    console.print("peeked: the best epoch by the target's labels; never quote it")
    if nuisance:
        console.print(
            "rejection, 1/JSD of the nuisance: mean score, a cut that keeps half the signal"
        )
    for line in scan_lines(summary.get("health", [])):
        click.echo(line)
    if summary.get("interrupted"):
        click.echo("interrupted: the table holds what was whole")
        click.echo(f"  to go on:     hepdann scan --resume -o {scan.folder}")


def _say(scan: Scan) -> None:
    from hepdann.store.paths import ScanPaths

    show(scan)
    click.echo(f"scan: {scan.folder}")
    click.echo(f"  the figures:   hepdann plot {scan.folder}")
    click.echo(f"  the numbers:   hepdann evaluate {scan.folder}")
    click.echo(f"  every network: {ScanPaths(scan.folder).table}")


def _row(group: Mapping[str, Any]) -> Sequence[str]:
    last, gap = group["last_epoch"], group["gap_closed"]["accuracy"]
    target = "data" if group["shift"] is None else f"{group['shift']} t={group['t']:g}"
    return (
        target,
        group["method"],
        "" if group["lambda"] is None else f"{group['lambda']:g}",
        _spread(last["target_accuracy"]),
        _spread(last["target_auc"]),
        _spread(last["consistency"]),
        "-" if gap is None else f"{gap:.2f}",
        _spread(group["peeked"]["target_accuracy"]),
    )


def _spread(block: Mapping[str, Any]) -> str:
    mean, std = block["mean"], block["std"]
    if mean is None:
        return "-"
    return f"{mean:.4f}" if std is None else f"{mean:.4f} ± {std:.4f}"
