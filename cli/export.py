"""``hepdann export``: a run as ONNX or C++."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import tables
from .options import PATH, shared

if TYPE_CHECKING:
    from hepdann.deploy import Exported

_KINDS = {
    "branch": "branch", "feature": "feature, not computed here", "image": "images of a view",
    "event": "features of the event", "objects": "features of objects, padded",
    "valid": "1 where there is an object, else 0",
}  # fmt: skip


@click.command()
@click.argument("run", type=PATH)
@click.option("-o", "--output", required=True, type=PATH,
              help="The file (.onnx, or .hpp for cpp); it is replaced whole.")  # fmt: skip
@click.option(
    "--for", "target", default="onnx", show_default=True,
    help="onnx, athena, cms (with preprocess.json) or cpp (one C++17 header).",
)  # fmt: skip
@click.option("--method", help="Whose scores.  [default: the recommended method]")
@click.option("--domain", default="target", show_default=True,
              help="target scores data, source MC.")  # fmt: skip
@click.option("--tolerance", type=float, default=1e-6, show_default=True,
              help="Largest difference from hepdann's score on the run's events.")  # fmt: skip
@shared("json")
def command(output: Path, as_json: bool, **options: Any) -> None:
    """Write RUN as one file that goes from the branches of an ntuple to class scores."""
    from hepdann.deploy import export

    made = export(output=output, **options)
    if as_json:
        tables.echo_json(made)
    else:
        _show(made)


def _show(made: Exported) -> None:
    console = tables.console()
    title = f"Inputs, in this order ({made.framework})"
    inputs = tables.table(title, "", "input", "unit", "missing", "what", left=5)
    for number, one in enumerate(made.inputs):
        missing = "NaN" if one.missing is None else f"{one.missing:g} or NaN"
        missing = "" if one.kind in ("image", "valid") else missing
        inputs.add_row(str(number), one.name, one.unit, missing, _KINDS[one.kind])
    console.print(inputs)
    if made.computed:
        console.print(f"computed inside: {', '.join(made.computed)}")
    if made.note:
        console.print(f"note: {made.note}")
    heads = ("event", f"hepdann, {made.classes[-1]}", "exported", "difference")
    rows = [
        (str(event), f"{expected:.8f}", f"{exported:.8f}", f"{abs(exported - expected):.1e}")
        for event, expected, exported in made.agreement.worst
    ]
    worst = "Check, the events that differ most"
    console.print(tables.table(worst, *heads, left=0, rows=rows))
    console.print(
        f"{made.agreement.events:,} events agree to {made.agreement.largest:.1e}; outputs: "
        f"{', '.join(made.classes)}"
    )
    scored = "data" if made.domain == "target" else "MC"
    for file in made.files:
        console.print(f"{file}: {file.stat().st_size / 1e6:.2f} MB")
    console.print(f"{made.method}, for {scored}")
