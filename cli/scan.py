"""``hepdann scan``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hepdann.display import command_line

from . import tables
from .interruption import interruptible
from .options import (
    COLUMNS,
    PATH,
    columns_of,
    config_of,
    listed,
    numbers,
    refuse_unheeded,
    shared,
    whole,
    with_workers,
    workers_on,
)  # fmt: skip
from .tables import spread

if TYPE_CHECKING:
    from hepdann.config import Config
    from hepdann.runs import Scan


@click.command()
@click.argument("tensors", default="tensors.h5", type=PATH)
@click.argument("data", required=False, type=PATH)
@click.option("--shift", "shifts", callback=listed, metavar="NAME,…",
              help="Shifts, each at every t.")  # fmt: skip
@click.option("--t", callback=numbers, metavar="T,…", help="Of the shifts.  [default: 1,2,3,5,8]")
@click.option("--lambda", "lambda_", callback=numbers, metavar="λ,…",
              help="Factors of the reversed domain gradient.  [default: 0.1,0.3,1,3]")  # fmt: skip
@click.option("--methods", callback=listed, metavar="M,…", help="As in train.  [default: dann]")
@click.option("--alignments", callback=listed, metavar="A,…",
              help="Maps of the target, as in train.  [default: quantile]")  # fmt: skip
@shared(*COLUMNS, "seeds", "seed")
@click.option("--epochs", type=int, help="Epochs; the last one is used.  [default: 20]")
@shared("batch-size")
@click.option("--learning-rate", type=float, help="Of Adam, at the start.  [default: 0.002]")
@click.option("--normalisation", help="domain, shared, layer, none.  [default: the method's own]")
@click.option("--stack", help="Networks that train side by side.  [default: auto]")
@shared("memory", "device", "workers", "cluster", "oracle", "config", "output")
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
    from hepdann.live import Live
    from hepdann.runs import resume_scan, scan
    from hepdann.store.paths import ScanPaths

    if resume and output is None:
        raise click.UsageError("--resume needs the scan's folder: -o runs/NAME")
    if resume:
        _only_resume(click.get_current_context())
    if flags["t"] is not None and flags["shifts"] is None and config_path is None and not resume:
        raise click.UsageError("--t belongs to a shift; name it: --shift sine")
    flags["workers"] = workers_on(flags.pop("cluster"), flags["workers"])
    with interruptible() as interruption, Live() as live:
        hooks: dict[str, Any] = {"report": interruption.wrap(live.report), "stop": interruption}
        if resume and output is not None:
            result = resume_scan(output, workers=flags["workers"], **hooks)
        else:
            config = _config(config_path, flags)
            result = scan(tensors, data=data, output=output, config=config, **hooks)
    show(result)
    click.echo(f"scan: {result.folder}")
    click.echo(f"  the figures:   {command_line('plot', result.folder)}")
    click.echo(f"  the numbers:   {command_line('evaluate', result.folder)}")
    click.echo(f"  every network: {ScanPaths(result.folder).table}")
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
    from hepdann.config import override

    grid = {name: name for name in ("shifts", "t", "alignments", "stack")} | {"lambda_": "lambda"}
    given = {f"scan.{key}": whole(flags.pop(name)) for name, key in grid.items()}
    flags["batch_size"] = whole(flags["batch_size"])
    given |= columns_of(flags)
    given |= {f"train.{key}": value for key, value in flags.items()}
    named = {k: v for k, v in given.items() if v is not None}
    return refuse_unheeded(override(with_workers(config_of(path)), named), named)


_OF_NUISANCE = ("nuisance_rejection", "nuisance_inverse_jsd")


def show(scan: Scan) -> None:
    """Print the table of a scan and what it means."""
    from hepdann.runs.health_report import scan_lines

    console = tables.console()
    summary = scan.summary
    chosen = {(c["method"], c["shift"], c["t"]): c["lambda"] for c in summary["choices"]}
    nuisance = [g for g in summary["groups"] if g["ensemble"].get(_OF_NUISANCE[0]) is not None]
    table = tables.table(
        None, "target", "method", "λ", "target accuracy", "target AUC", "consistency",
        "gap closed", "peeked", *(("rejection", "1/JSD") if nuisance else ()), left=2,
    )  # fmt: skip
    table.box, table.pad_edge = None, False
    for group in summary["groups"]:
        place = group["method"], group["shift"], group["t"]
        if group["lambda"] == chosen[place]:
            figures = [group["ensemble"].get(name) for name in _OF_NUISANCE] if nuisance else []
            table.add_row(*_row(group), *("-" if v is None else f"{v:.3g}" for v in figures))
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
        click.echo(f"  to go on:     {command_line('scan', '--resume', '-o', scan.folder)}")


def _row(group: Mapping[str, Any]) -> Sequence[str]:
    last, gap = group["last_epoch"], group["gap_closed"]["accuracy"]
    target = "data" if group["shift"] is None else f"{group['shift']} t={group['t']:g}"
    return (
        target,
        group["method"],
        "" if group["lambda"] is None else f"{group['lambda']:g}",
        spread(last["target_accuracy"]),
        spread(last["target_auc"]),
        spread(last["consistency"]),
        "-" if gap is None else f"{gap:.2f}",
        spread(group["peeked"]["target_accuracy"]),
    )
