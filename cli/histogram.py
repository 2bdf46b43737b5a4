"""``hepdann histogram``: templates of a run, as ROOT histograms and as a workspace of pyhf."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import tables
from .options import PATH, interval, numbers, shared, words

if TYPE_CHECKING:
    from hepdann.evaluation import Templates


def _bins(ctx: click.Context, param: click.Parameter, value: str) -> int | Sequence[float]:
    edges = numbers(ctx, param, value) or []
    return int(edges[0]) if len(edges) == 1 and edges[0].is_integer() else edges


def _windows(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> list[tuple[float, float]]:
    return [window for value in values if (window := interval(ctx, param, value))]


def _regions(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    texts: dict[str, str] = {}
    for value in values:
        name, equals, cut = value.partition("=")
        name = name.strip()
        if not equals or not name or not cut.strip():
            raise click.BadParameter(f"{value!r} is not name=cut, such as SR='njets >= 2'")
        if name in texts:
            raise click.BadParameter(f"region {name} is given twice")
        texts[name] = cut.strip()
    return texts


@click.command()
@click.argument("run", type=PATH)
@click.option(
    "--of", default="score", show_default=True, metavar="QUANTITY",
    help="score, score.<class>, or an expression of features, spectators and scores.",
)  # fmt: skip
@click.option("--method", help="Whose score.  [default: the recommended one's]")
@click.option("--bins", default="10", show_default=True, metavar="N|EDGE,…", callback=_bins,
              help="Their number, or their edges.")  # fmt: skip
@click.option(
    "--range", "limits", metavar="LOW,HIGH", callback=interval,
    help="First and last edge.  [default: 0,1 of a score, and by MC's content]",
)  # fmt: skip
@click.option("--binning", type=click.Choice(["even", "equal-signal", "significance"]),
              default="even", show_default=True, help="How edges are chosen.")  # fmt: skip
@click.option("--regions", "--region", multiple=True, metavar="NAME=CUT", callback=_regions,
              help="A region by its cut; repeat it for more.  [default: all events]")  # fmt: skip
@click.option("--variations", is_flag=True, help="Fill further weights and shifted features too.")
@click.option(
    "--signal", multiple=True, metavar="NAME,…", callback=words,
    help="Classes or processes that the signal strength scales.  [default: the last class]",
)  # fmt: skip
@click.option(
    "--blind", multiple=True, metavar="LOW,HIGH", callback=_windows,
    help="A window without data, beside those of the configuration; repeat it for more.",
)  # fmt: skip
@click.option("--asimov", is_flag=True,
              help="MC's expectation in place of data, which stay unread.")  # fmt: skip
@click.option("--include-training", is_flag=True,
              help="Fill also the MC events that trained the networks.")  # fmt: skip
@click.option(
    "--config", "config_path",
    help="YAML file, or a shipped one's name, whose plots are blind.  [default: the run's]",
)  # fmt: skip
@click.option("-o", "--output", type=PATH, help="ROOT file.")
@click.option("--pyhf", "workspace", type=PATH, help="Workspace in JSON.")
@shared("json")
def command(
    run: Path,
    bins: int | Sequence[float],
    limits: tuple[float, float] | None,
    config_path: str | None,
    output: Path | None,
    workspace: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Fill the templates of RUN: a quantity in bins, by region, process and class.

    MC of the test split is filled, scaled up to the yield of each process and class; and all data.
    """
    if output is not None and workspace is not None and output.resolve() == workspace.resolve():
        raise click.UsageError("-o and --pyhf name one file; the one is ROOT, the other JSON")
    from hepdann.config import load_config
    from hepdann.deploy import write_histograms, write_workspace
    from hepdann.evaluation import TemplateSettings, fill_templates

    plots = None
    if config_path is not None:
        plots = load_config(config_path, known_names=False).plots
    templates = fill_templates(
        run, TemplateSettings(bins=bins, range=limits, **settings), plots=plots
    )
    if workspace is not None:  # the one that may be refused comes first
        write_workspace(templates, workspace)
    if output is not None:
        write_histograms(templates, output)
    written = [str(path) for path in (output, workspace) if path is not None]
    if as_json:
        tables.echo_json(_to_json(templates))
        return
    _show(templates)
    click.echo(
        f"written: {', '.join(written)}" if written else "nothing is written without -o, --pyhf"
    )


def _rows(templates: Templates) -> list[dict[str, Any]]:
    rows = []
    for region in templates.regions:
        for sample in templates.samples:
            variations = templates.mc[region, sample.name]
            inside = variations["nominal"]
            rows.append(
                {
                    "region": region,
                    "sample": sample.name,
                    "signal": sample.signal,
                    "yield": float(inside.sumw.sum()),
                    "error": float(inside.sumw2.sum()) ** 0.5,
                    "events": sample.events,
                    "scale": sample.scale,
                    "variations": len(variations) - 1,
                }
            )
    return rows


def _to_json(templates: Templates) -> dict[str, Any]:
    data = templates.data
    return {
        "quantity": templates.quantity,
        "edges": templates.edges.tolist(),
        "blind": templates.blind.tolist(),
        "templates": _rows(templates),
        "data": None if data is None else {n: float(h.sumw.sum()) for n, h in data.items()},
        "notes": templates.notes,
    }


def _show(templates: Templates) -> None:
    console = tables.console()
    bins = len(templates.edges) - 1
    title = f"Templates of {templates.quantity} in {bins} bins"
    table = tables.table(title, "region", "sample", "", "yield", "MC events", "scale", left=3)
    rows = _rows(templates)
    for region in templates.regions:
        table.add_section()
        for row in (row for row in rows if row["region"] == region):
            table.add_row(
                region,
                row["sample"],
                "signal" if row["signal"] else "",
                tables.plus_minus(row["yield"], row["error"]),
                f"{row['events']:,}",
                f"{row['scale']:.3f}",
            )
        if templates.data is not None:
            count = float(templates.data[region].sumw.sum())
            table.add_row(region, "data", "", f"{count:,.6g}", "", "")
    console.print(table)
    console.print("yield: in the bins; MC events: of the sample in all regions")
    for note in templates.notes:
        console.print(note)
