"""hepdann simulate: a toy sample as real input files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from .progress import counting

__all__ = ["command"]

_UNITS = {"bjets": "jets", "minerva": "events"}


@click.command(context_settings={"show_default": True})
@click.argument("name")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the files mc and data; made if it is not there.",
)
@click.option(
    "--events",
    type=int,
    default=40_000,
    help="Events in each file; of bjets, jets, two an event number.",
)
@click.option("--seed", type=int, default=0, help="The same seed writes the same values.")
@click.option(
    "--truth",
    is_flag=True,
    help="Write the truth of the data too, to a file truth, for studies.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["root", "hdf5"]),
    help="minerva: a ROOT tree of hits, or HDF5 images.  [default: root]",
    show_default=False,
)
@click.option(
    "--schema",
    type=click.Choice(["flat", "grouped"]),
    help="minerva: of the HDF5 files.  [default: flat]",
    show_default=False,
)
@click.option(
    "--image",
    type=click.Choice(["127x50", "127x94"]),
    help="minerva: how far the detector reaches.  [default: 127x50]",
    show_default=False,
)
@click.option(
    "--fsi",
    type=click.Choice(["on", "off"]),
    help="minerva, data: hadrons interact on their way out of the nucleus.  [default: off]",
    show_default=False,
)
@click.option(
    "--flux",
    type=click.Choice(["ME", "LE"]),
    help="minerva, data: neutrino beam.  [default: LE]",
    show_default=False,
)
@click.option(
    "--model",
    type=click.Choice(["nominal", "tuned"]),
    help="minerva, data: events reweighted in W and Q².  [default: nominal]",
    show_default=False,
)
@click.option(
    "--detector",
    type=click.Choice(["nominal", "shifted"]),
    help="minerva, data: shifted has energies × 1.1 and 5 % more dead strips.  [default: nominal]",
    show_default=False,
)
@click.option(
    "--energy-scale",
    type=float,
    help="minerva, data: factor on the energies of hits.  [default: 1]",
    show_default=False,
)
@click.option(
    "--smearing",
    type=float,
    help="minerva, data: relative width of a further smearing of energies.  [default: 0]",
    show_default=False,
)
@click.option(
    "--dead",
    type=float,
    help="minerva, data: share of strips that are dead in the data alone.  [default: 0]",
    show_default=False,
)
@click.option(
    "--signal", type=click.FloatRange(0, 1),
    help="bump: share of the data that is signal.  [default: 0.01]",
    show_default=False,
)  # fmt: skip
def command(name: str, output: Path, events: int, seed: int, truth: bool, **special: Any) -> None:
    """Write a toy sample as real input files.

    NAME is bjets, b and light jets in the likeness of the ALEPH sample, or minerva, neutrino
    interactions in MINERvA as hits in three views. The data differ mildly from the MC; the options
    of minerva say in what. Smaller toys are pivot, where a nuisance z moves the signal, mixtures,
    whose data are two samples of other signal fractions, proportions, where these are known, and
    bump, a resonance in data.
    """
    from hepdann import samples

    given = {key: value for key, value in special.items() if value is not None}
    for key in given:
        owner = "bump" if key == "signal" else "minerva"
        if name != owner:
            said = "format" if key == "form" else key.replace("_", "-")
            raise click.UsageError(f"--{said} belongs to {owner}, not to {name}")
    options = _minerva(given) if name == "minerva" else given
    unit = _UNITS.get(name, "events")
    with counting("simulate", f"simulating {name}", unit) as progress:
        paths = samples.write(name, output, events, seed, truth, progress=progress, **options)
    tree, trees = "", {"bjets": "jets", "minerva": "minerva"}
    if paths[0].suffix == ".root":
        tree = f", tree {trees.get(name, 'toy')}"
    for path in paths:
        click.echo(f"{path}  {events:,} {unit}{tree}, {path.stat().st_size / 1e6:.1f} MB")
    mc, data, *others = map(str, paths)
    extra = ["--truth", others[0]] if others else []
    if name in samples.TOYS:
        extra += ["--spectators", ",".join(samples.TOYS[name].spectators)]
    click.echo("next: " + shlex.join(["hepdann", "convert", mc, data, *extra]))


def _minerva(given: dict[str, Any]) -> dict[str, Any]:
    """The options of :func:`hepdann.samples.write_minerva`."""
    from dataclasses import replace

    from hepdann.samples.minerva import settings, target

    options = dict(given)
    if "schema" in options and options.get("form") != "hdf5":
        raise click.UsageError("--schema is of HDF5 files: say --format hdf5 as well")
    if "fsi" in options:
        options["fsi"] = options["fsi"] == "on"
    if options.pop("detector", "nominal") == "shifted":
        options = settings().shifts.detector | options
    names = ("fsi", "flux", "model", "energy_scale", "smearing", "dead")
    changes = {key: options.pop(key) for key in names if key in options}
    return options | {"conditions": replace(target(), **changes)}
