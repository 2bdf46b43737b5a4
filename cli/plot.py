"""``hepdann plot``: draw the figures of a run, or pictures of single events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hepdann.registry import FIGURES

from .options import PATH, config_of, listed, shared
from .tables import counting


@click.command()
@click.argument("run", required=False, type=PATH)
@click.option(
    "--config", "config_path",
    help="YAML file, or a shipped one's name, with a section `plots`.  [default: the run's]",
)  # fmt: skip
@shared("style")
@click.option("--size", help="half-slide, slide, column or page.  [default: half-slide]")
@shared("experiment", "text")
@click.option("--lumi", type=float, help="Integrated luminosity in 1/fb.  [default: not printed]")
@click.option("--year", help="Of data taking.  [default: not printed]")
@click.option("--com", type=float, help="Centre-of-mass energy in TeV.  [default: not printed]")
@click.option(
    "--only", callback=listed, metavar="KIND,…",
    help=f"{', '.join(FIGURES)}, or names of single figures; of a scan: accuracy, auc, "
    "consistency, gap, lambda, loss, roc.  [default: what the configuration lists, or all but "
    "confusion, efficiency, importance, latent]",
)  # fmt: skip
@click.option("--formats", callback=listed, metavar="FORMAT,…",
              help="pdf, png, svg.  [default: pdf,png]")  # fmt: skip
@click.option("--scale-mc", is_flag=True,
              help="Scale MC to the yield of the data, and say so on the figures.")  # fmt: skip
@click.option("-o", "--output", type=PATH, help="Folder.  [default: RUN/plots]")
@click.option("--workers", type=click.IntRange(min=1),
              help="Processes that draw.  [default: up to 4 for many figures]")  # fmt: skip
@click.option("--events", "file", metavar="FILE",
              help="Draw events instead of a run: of a tensor file with images, a ROOT tree of "
              "hits or an HDF5 file of images.")  # fmt: skip
@click.option("-n", "n", type=click.IntRange(1), default=8, help="Events.  [default: 8]")
@click.option("--start", type=click.IntRange(0), default=0, help="The first of them.  [default: 0]")
@click.option("--domain", type=click.Choice(["mc", "data"]),
              help="Of a tensor file.  [default: mc]")  # fmt: skip
def command(
    run: Path | None,
    config_path: str | None,
    only: list[str] | None,
    scale_mc: bool,
    output: Path | None,
    workers: int | None,
    file: str | None,
    n: int,
    start: int,
    domain: str | None,
    **look: Any,
) -> None:
    """Draw the figures of RUN: losses, ROC curves, scores, data against MC; of a generator its own.

    With --events FILE, draw single events: the hits of three views, and the true vertex of MC.

    What is not given here comes from the section `plots` of the configuration, which may also
    list the figures to draw.
    """
    if file is not None or run is None:
        if file is None:
            raise click.UsageError("Missing argument 'RUN', or --events FILE")
        _refuse("the figures of a run", "only", "scale_mc", "size", "workers")
        if run is not None:
            raise click.UsageError("draws either RUN or --events FILE, not both")
        _draw_events(file, n, start, domain, _plots(config_path, look), output)
        return
    _refuse("--events FILE", "n", "start", "domain")
    from hepdann.parallel import DRAWING, processes_for, start_method
    from hepdann.store.model_file import is_generator
    from hepdann.store.paths import RunPaths, explain_absent, is_scan
    from hepdann.store.reading import check_version, open_scan

    if only == []:
        raise click.UsageError("--only names no figure")
    scanned, generator = is_scan(run), is_generator(run)
    if not (scanned or generator or RunPaths(run).scores.exists()):
        raise explain_absent(run)
    if scanned:
        open_scan(run)
    check_version(run)
    if only is None and processes_for(workers or "auto", 2, pays=True) > 1:
        start_method(DRAWING)  # their server imports what it needs while this process does
    from hepdann.plotting import plot_generated, plot_run, plot_scan

    run_config = RunPaths(run).config
    plots = _plots(config_path or (run_config if run_config.exists() else None), look)
    with counting("plot", "drawing", "figures") as progress:
        if generator:
            _refuse("the figures of a run", "only", "scale_mc", "workers")
            made = plot_generated(run, plots, output)
        elif scanned:
            _refuse("the figures of a run", "scale_mc")
            made = plot_scan(
                run, plots, only, output=output, progress=progress, workers=workers
            )  # fmt: skip
        else:
            made = plot_run(
                run, plots, only, output=output, scale_mc=scale_mc, progress=progress,
                workers=workers,
            )  # fmt: skip
    stems = list(dict.fromkeys(file.stem for file in made))
    if only is not None and not made:
        from hepdann.errors import RunError

        what = f"has no figure of {', '.join(only)}"
        raise RunError(what, where=run, mend="name others with --only")
    many = "" if len(stems) == 1 else "s"
    folder = made[0].parent if made else run
    click.echo(f"{len(stems)} figure{many} in {folder}: {', '.join(stems)}")
    default = only is None and (plots.figures is None or "default" in plots.figures)
    if default and not (generator or scanned):
        from hepdann.plotting.quantities import Quantities

        if fewer := Quantities.open(run).fewer_features:
            click.echo(fewer)


def _refuse(what: str, *names: str) -> None:
    """Refuse options that change nothing there, if they are given."""
    context = click.get_current_context()
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in names and source is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"{option.opts[0]} is for {what}")


def _plots(path: str | Path | None, look: dict[str, Any]) -> Any:
    """The section ``plots`` of a configuration, with what the flags change."""
    from hepdann.config import override

    config = config_of(path, known_names=False)
    changes = {f"plots.{key}": value for key, value in look.items()}
    return override(config, changes, known_names=False).plots


def _draw_events(
    file: str, n: int, start: int, domain: str | None, plots: Any, output: Path | None
) -> None:
    """Draw one figure an event, and say where they are."""
    from hepdann.plotting import plot_events

    pictures, simulation = _pictures(file, n, start, domain)
    folder = output or Path(f"{Path(file.rpartition('/')[2].split(':')[0]).stem}-events")
    with counting("plot", "drawing", "events") as progress:
        plot_events(pictures, folder, config=plots, simulation=simulation, progress=progress)
    count = len(pictures)
    click.echo(f"{count} event{'s' if count > 1 else ''} of {file} in {folder}")


def _pictures(file: str, n: int, start: int, domain: str | None) -> tuple[list[Any], bool]:
    """The pictures, and whether they are of simulation."""
    from hepdann.errors import SchemaError
    from hepdann.evaluation import event_pictures, tensor_pictures

    from .inspect import kind_of

    if kind_of(file) == "tensors":
        from hepdann.tensors import open_tensors

        tensors, domain = open_tensors(file), domain or "mc"
        if start >= tensors.rows(domain):
            raise SchemaError(
                f"has {tensors.rows(domain):,} events of {domain}, none with number {start}",
                where=file,
            )
        return tensor_pictures(tensors, domain, n, start), domain == "mc"
    if domain is not None:
        raise click.UsageError("--domain is of tensor files: name the file of MC or of data")
    from hepdann.readers.row_reader import first_events

    quantity, images, columns = first_events(file, n, start=start)
    known = any(name.rpartition("/")[2] in ("segment", "segments") for name in columns)
    return event_pictures(images, columns, quantity=quantity, truth=known), known
