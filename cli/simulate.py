"""hepdann simulate: a toy sample as real input files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hepdann.display import command_line

from .options import PATH
from .tables import counting

_UNITS = {"bjets": "jets", "jets": "jets", "moons": "points", "showers": "showers"} | dict.fromkeys(
    ("mnist-m", "numbers", "shapes", "signs"), "pictures"
)
_TREES = {"bjets": "jets", "jets": "jets"} | {
    name: name for name in ("minerva", "moons", "showers")
}


@click.command()
@click.argument("name")
@click.option("-o", "--output", required=True, type=PATH,
              help="Folder for the files mc and data; made if it is not there.")  # fmt: skip
@click.option(
    "--events", type=int,
    help="Events in each file; of bjets, jets, two an event number.  [default: 40,000; of moons "
    "2,000, of numbers and signs 20,000, of shapes 10,000, of showers 60,000, of mnist-m all]",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True,
              help="The same seed writes the same values.")  # fmt: skip
@click.option("--truth", is_flag=True,
              help="Write the truth of the data too, to a file truth, for studies.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["root", "hdf5"]),
              help="minerva: a ROOT tree of hits, or HDF5 images.  [default: root]")  # fmt: skip
@click.option("--image", type=click.Choice(["127x50", "127x94"]),
              help="minerva: how far the detector reaches.  [default: 127x50]")  # fmt: skip
@click.option(
    "--fsi", type=click.Choice(["on", "off"]),
    help="minerva, data: hadrons interact on their way out of the nucleus.  [default: off]",
)  # fmt: skip
@click.option("--flux", type=click.Choice(["ME", "LE"]),
              help="minerva, data: neutrino beam.  [default: LE]")  # fmt: skip
@click.option("--model", type=click.Choice(["nominal", "tuned"]),
              help="minerva, data: events reweighted in W and Q².  [default: nominal]")  # fmt: skip
@click.option(
    "--detector", type=click.Choice(["nominal", "shifted"]),
    help="minerva, data: shifted has energies × 1.1 and 5 % more dead strips.  [default: nominal]",
)  # fmt: skip
@click.option("--energy-scale", type=float,
              help="minerva, data: factor on the energies of hits.  [default: 1]")  # fmt: skip
@click.option("--smearing", type=float,
              help="minerva, data: relative smearing of energies.  [default: 0]")  # fmt: skip
@click.option(
    "--dead", type=float,
    help="minerva, data: share of strips that are dead in the data alone.  [default: 0]; jets, "
    "data: share of the circle in φ that sees nothing.  [default: 0.05]",
)  # fmt: skip
@click.option("--missing", type=click.FloatRange(0, 1),
              help="jets, data: share of constituents that are lost.  [default: 0.1]")  # fmt: skip
@click.option("--pt-scale", type=click.FloatRange(0, min_open=True),
              help="jets, data: factor on the p_T of constituents.  [default: 0.5]")  # fmt: skip
@click.option("--signal", type=click.FloatRange(0, 1),
              help="bump: share of the data that is signal.  [default: 0.01]")  # fmt: skip
@click.option("--digits", metavar="FILE[:PART]",
              help="mnist-m: pictures of digits, as MNIST's mnist.npz:train.")  # fmt: skip
@click.option("--photographs", type=PATH,
              help="mnist-m: folder of photographs, as that of BSDS500.")  # fmt: skip
@click.option("--rotation", type=float, help="moons, data: in degrees.  [default: 35]")
def command(
    name: str, output: Path, events: int | None, seed: int, truth: bool, **special: Any
) -> None:
    """Write a toy sample as real input files.

    NAME is bjets, b and light jets in the likeness of the ALEPH sample; jets, bags of constituents
    whose likelihood ratio is known; minerva, neutrino interactions in MINERvA as hits in three
    views, whose options say in what the data differ; moons, two half circles and the same turned;
    pivot, where a nuisance z moves the signal; mixtures, whose data are two samples of other signal
    fractions, proportions, where these are known, and bump, a resonance in data; mnist-m, digits of
    yours and the same blended with photographs; shapes, circles, squares and triangles; showers in
    a calorimeter, numbers or signs, which are MC alone.
    """
    from hepdann import samples

    given = {key: value for key, value in special.items() if value is not None}
    options = _options(name, given)
    unit = _UNITS.get(name, "events")
    events = samples.default_events(name) if events is None else events
    with counting("simulate", f"simulating {name}", unit) as progress:
        paths = samples.write(name, output, events, seed, truth, progress=progress, **options)
    tree = f", tree {_TREES.get(name, 'toy')}" if paths[0].suffix == ".root" else ""
    count = "" if events is None else f"{events:,} "
    for path in paths:
        click.echo(f"{path}  {count}{unit}{tree}, {path.stat().st_size / 1e6:.1f} MB")
    files = list(map(str, paths))
    extra = ["--truth", *files[2:]] if files[2:] else []
    if name == "jets":
        extra += ["--objects", "constituent"]
    if spectators := samples.TOYS[name].spectators if name in samples.TOYS else ():
        extra += ["--spectators", ",".join(spectators)]
    if name == "showers":
        extra = ["--config", name]
    click.echo(f"next: {command_line('convert', *files[:2], *extra)}")


def _options(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options of a sample; those of another are refused."""
    belongs = {"digits": "mnist-m", "photographs": "mnist-m", "rotation": "moons", "signal": "bump",
               "missing": "jets", "pt_scale": "jets"}  # fmt: skip
    for key in given:
        owner = belongs.get(key, "minerva")
        if owner != name and (key, name) != ("dead", "jets"):
            option = {"form": "format"}.get(key, key).replace("_", "-")
            raise click.UsageError(f"--{option} belongs to {owner}, not to {name}")
    if name == "mnist-m":
        return _mnist_m(given)
    return _minerva(given) if name == "minerva" else given


def _mnist_m(given: dict[str, Any]) -> dict[str, Any]:
    """The digits and photographs of :func:`hepdann.samples.write_mnist_m`."""
    from hepdann.readers.pictures.convert import picture_ref
    from hepdann.readers.pictures.files import grey_pictures

    absent = [key for key in ("digits", "photographs") if key not in given]
    if absent:
        raise click.UsageError(f"mnist-m needs --{absent[0]}; data/README.md says where they are")
    images, labels = grey_pictures(picture_ref(given["digits"]))
    return {"digits": images, "labels": labels, "photographs": given["photographs"]}


def _minerva(given: dict[str, Any]) -> dict[str, Any]:
    """The options of :func:`hepdann.samples.write_minerva`."""
    from dataclasses import replace

    from hepdann.samples.minerva import settings, target

    options = dict(given)
    if "fsi" in options:
        options["fsi"] = options["fsi"] == "on"
    if options.pop("detector", "nominal") == "shifted":
        options = settings().shifts.detector | options
    names = ("fsi", "flux", "model", "energy_scale", "smearing", "dead")
    changes = {key: options.pop(key) for key in names if key in options}
    return options | {"conditions": replace(target(), **changes)}
