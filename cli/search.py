"""``hepdann search``: a bump in data behind cuts on a score that saw no label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from . import tables
from .options import PATH, interval, numbers, shared


def _shares(ctx: click.Context, param: click.Parameter, value: str) -> list[float]:
    shares = numbers(ctx, param, value) or []
    if not all(0 < share <= 1 for share in shares):
        raise click.BadParameter("shares lie within 0 and 1")
    return shares


@click.command()
@click.argument("run", type=PATH)
@click.option("--variable", required=True, help="Column of the data, e.g. m_jj, or an expression.")
@click.option("--region", required=True, callback=interval, metavar="LOW,HIGH",
              help="Signal region.")  # fmt: skip
@click.option("--window", required=True, callback=interval, metavar="LOW,HIGH",
              help="From the lower end of the sidebands to the upper.")  # fmt: skip
@click.option("--method", default="cwola", show_default=True, help="Whose score is cut on.")
@click.option("--efficiencies", default="1,0.1,0.01,0.001", show_default=True, callback=_shares,
              metavar="E,…", help="Shares of the sidebands that the cuts keep.")  # fmt: skip
@click.option("--bins", type=click.IntRange(min=4), default=30, show_default=True,
              help="Of the spectrum outside the region.")  # fmt: skip
@click.option("--order", type=click.IntRange(0, 6), default=2, show_default=True,
              help="Of the polynomial in the exponent that is fitted.")  # fmt: skip
@shared("json")
def command(
    run: Path,
    variable: str,
    region: tuple[float, float],
    method: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Search the data of RUN for a bump, behind cuts on a score that saw no label.

    Train with folds, so that no event is scored by a network that saw it. Each cut keeps a share
    of the sidebands; a smooth curve is fitted to what is left of them, and the events of the region
    are counted over it. Significances are local: every cut and every region that was tried is a
    trial.
    """
    from hepdann.evaluation.bump_search import search
    from hepdann.store.reading import check_version

    check_version(run)
    points = search(run, variable, region, method=method, **options)
    names = ("observed", "expected", "error", "significance", "chi2")
    if as_json:
        content = [
            {"efficiency": p.efficiency, "events": p.events}
            | {name: getattr(p.bump, name) for name in names}
            for p in points
        ]
        click.echo(json.dumps(content, indent=2))
        return
    title = f"{run}: {variable} within {region[0]:g} to {region[1]:g}, {method}"
    heads = ("sidebands kept", "events", "observed", "expected", "chi²/ndf", "significance")
    rows = [
        (f"{p.efficiency:g}", f"{p.events:,}", f"{p.bump.observed:,}",
         f"{p.bump.expected:.1f} ± {p.bump.error:.1f}", f"{p.bump.chi2:.2f}",
         f"{p.bump.significance:+.2f} σ")
        for p in points
    ]  # fmt: skip
    tables.console().print(tables.table(title, *heads, left=0, rows=rows))
    click.echo(f"local significances, of {len(points)} cuts on one score")
