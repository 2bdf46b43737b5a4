"""``hepdann demo``: the main job, end to end, on a simulated sample."""

from __future__ import annotations

import importlib
import time
from pathlib import Path

import click

from hepdann.display import command_line

from .options import PATH

_FEATURES = "prob_b,spheri,pt2rel,multip,bqvjet,ptlrel"


def _steps(folder: Path, events: int, seeds: int) -> list[list[str]]:
    """The demo's commands, each as a user would type it."""
    tensors, run = str(folder / "tensors.h5"), str(folder / "run")
    files = [str(folder / f"{name}.root") for name in ("mc", "data", "truth")]
    size = [] if events == 40_000 else ["--events", str(events)]
    members = [] if seeds == 5 else ["--seeds", str(seeds)]
    return [
        ["simulate", "bjets", "-o", str(folder), "--truth", *size],
        ["convert", *files[:2], "--truth", files[2], "--features", _FEATURES, "--weight", "weight",
         "--spectators", "energy,cTheta", "-o", tensors],
        ["diagnose", tensors],
        ["train", tensors, "-o", run, *members],
        ["plot", run],
    ]  # fmt: skip


@click.command()
@click.option("-o", "--output", type=PATH, default=Path("demo"), show_default=True,
              help="Folder of the demo; must not exist.")  # fmt: skip
@click.option("--events", type=int, default=40_000, show_default=True, help="Jets in each file.")
@click.option("--seeds", type=int, default=5, show_default=True, help="Networks a method.")
def command(output: Path, events: int, seeds: int) -> None:
    """Do the whole main job in half a minute, on a simulated sample.

    Simulates MC and data as ROOT files, converts them, tests whether they differ, trains a
    domain-adversarial network beside its baselines and draws the figures. Every step is a command
    of its own, printed before it runs.
    """
    from hepdann.errors import RunError
    from hepdann.parallel import processes_for, start_method
    from hepdann.store.paths import RunPaths

    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise RunError("exists already", where=output, mend="remove it, or take another -o")
    started = time.perf_counter()
    if processes_for("auto", 2, pays=True) > 1:
        start_method()  # imports what trains and draws, while this process simulates and converts
    done = []
    for step in _steps(output, events, seeds):
        line = command_line(*step)
        click.secho(f"\n$ {line}", bold=True)
        step_command = importlib.import_module(f".{step[0]}", __package__).command
        code = step_command.main(step[1:], prog_name=f"hepdann {step[0]}", standalone_mode=False)
        if code:  # interrupted
            raise SystemExit(code)
        done.append(line)
    script = output / "commands.sh"
    script.write_text("\n".join(["#!/bin/sh -e", *done]) + "\n", encoding="utf-8")
    seconds = time.perf_counter() - started
    plots = output / "run" / "plots"
    scores = plots / "scores_source-only.png", plots / "scores_dann.png"
    inputs = plots / "data_mc_prob_b.png", plots / "data_mc_prob_b_after_quantile.png"
    lines = [
        f"\nDone in {seconds:.0f} s. Look at",
        f"  {plots / 'roc_target.png'}: how each method ranks the data's jets",
        f"  {scores[0]}, {scores[1]}: MC against data",
        f"  {inputs[0]}, {inputs[1]}: an input before and after alignment",
        f"  {plots / 'loss.png'}: is the domain classifier at one half?",
        f"  {RunPaths(output / 'run').metrics}: every number of them",
        "Then type",
        f"  {command_line('evaluate', output / 'run')}",
        f"  {command_line('train', output / 'tensors.h5', '--shift', 'sine', '--t', 3)}",
        "  hepdann convert YOUR_MC.root YOUR_DATA.root",
        f"The five commands are in {output / 'commands.sh'}.",
    ]
    click.echo("\n".join(lines))
