"""``hepdann plot``: draw the figures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hepdann.registry import FIGURES

from .event_pictures import Events, draw_events, event_options
from .progress import counting


def _words(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    del ctx, param
    return None if value is None else [word.strip() for word in value.split(",") if word.strip()]


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option(
    "--config",
    "config_path",
    help="YAML file, or a shipped one's name, with a section `plots`.  [default: the run's]",
)
@click.option("--style", help="ATLAS, CMS, LHCb, ALICE, DUNE or ROOT.  [default: ROOT]")
@click.option("--size", help="half-slide, slide, column or page.  [default: half-slide]")
@click.option("--experiment", help="Name printed on the figures.  [default: none]")
@click.option("--text", help="Printed after the name, e.g. Preliminary.  [default: none]")
@click.option("--lumi", type=float, help="Integrated luminosity in 1/fb.  [default: not printed]")
@click.option("--year", help="Of data taking.  [default: not printed]")
@click.option("--com", type=float, help="Centre-of-mass energy in TeV.  [default: not printed]")
@click.option(
    "--only",
    callback=_words,
    metavar="KIND,…",
    help=f"{', '.join(FIGURES)}, or names of single figures; of a scan: accuracy, auc, "
    "consistency, gap, lambda, loss, roc.  [default: what the configuration lists, or all but "
    "confusion, efficiency, importance, latent]",
)
@click.option(
    "--formats", callback=_words, metavar="FORMAT,…", help="pdf, png, svg.  [default: pdf,png]"
)
@click.option(
    "--scale-mc", is_flag=True, help="Scale MC to the yield of the data, and say so on the figures."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder.  [default: RUN/plots]"
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes that draw.  [default: up to 4 for many figures]",
)
@event_options
def command(
    run: Path | None,
    config_path: str | None,
    only: list[str] | None,
    scale_mc: bool,
    output: Path | None,
    workers: int | None,
    events: Events,
    **look: Any,
) -> None:
    """Draw the figures of RUN: losses, ROC curves, scores, data against MC; of a generator its own.

    With --events FILE, draw single events: the hits of three views, and the true vertex of MC.

    What is not given here comes from the section `plots` of the configuration, which may also
    list the figures to draw.
    """
    if events.file is not None or run is None:
        if only or scale_mc:
            raise click.UsageError("--only and --scale-mc are for the figures of a run")
        draw_events(events, run, config_path, output, look)
        return
    from hepdann.config import Config, load_config, override
    from hepdann.plotting import plot_generated, plot_run, plot_scan
    from hepdann.store.generators import is_generator
    from hepdann.store.paths import RunPaths
    from hepdann.store.reading import check_version
    from hepdann.store.scan_folder import open_scan
    from hepdann.store.state import is_scan

    if only == []:
        raise click.UsageError("--only names no figure")
    scanned = is_scan(run)
    if scanned:
        open_scan(run)
    check_version(run)
    run_config = RunPaths(run).config
    path = config_path or (run_config if run_config.exists() else None)
    config = Config() if path is None else load_config(path, expand=False, known_names=False)
    changes = {f"plots.{key}": value for key, value in look.items()}
    plots = override(config, changes, known_names=False).plots
    with counting("plot", "drawing", "figures") as progress:
        if is_generator(run):
            if only or scale_mc:
                raise click.UsageError("--only and --scale-mc are for the figures of a run")
            made = plot_generated(run, plots, output)
        elif scanned:
            made = plot_scan(run, plots, only, output=output, progress=progress)
        else:
            made = plot_run(
                run,
                plots,
                only,
                output=output,
                scale_mc=scale_mc,
                progress=progress,
                workers=workers,
            )
    stems = list(dict.fromkeys(file.stem for file in made))
    folder = made[0].parent if made else run
    click.echo(f"{len(stems)} figures in {folder}: {', '.join(stems)}")
