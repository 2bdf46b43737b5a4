"""Says where the time of a training went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import tables

_MEANING = {
    "preparation": "reading, scaling, alignment, building the networks",
    "data": "putting batches together",
    "forward": "through the networks, and the losses",
    "backward": "gradients",
    "optimiser": "clipping, step, averaged weights",
    "step": "what a step does besides",
    "validation": "figures after each epoch",
    "health": "looks at the networks",
    "checkpoint": "writing checkpoints",
    "scoring": "all events with all methods",
    "evaluation": "metrics.json",
}


def show(metrics: Mapping[str, Any]) -> None:
    """Print the stages of a run in the order in which they first came."""
    seconds = (metrics.get("throughput") or {}).get("time", {})
    total = sum(seconds.values())
    table = tables.table("Where the time went")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    for stage, spent in seconds.items():
        share = 100 * spent / total if total else 0.0
        table.add_row(stage, f"{spent:.2f}", f"{share:.1f} %", _MEANING.get(stage, ""))
    table.add_section()
    table.add_row("together", f"{total:.2f}", "", "")
    tables.console().print(table)
