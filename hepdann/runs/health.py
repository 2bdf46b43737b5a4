"""``health.json``: what was seen of every network while it trained, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..training import FIGURES, Health, write_whole

__all__ = ["lines_of", "write_health"]

FORMAT_VERSION = 1


def lines_of(entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One line for each disease, of all networks of a method that have it.

    Args:
        entries: of one look, as :class:`hepdann.training.Health` gives them.
    """
    groups: dict[tuple[str, str], list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for entry in entries:
        for verdict in entry["verdicts"]:
            groups.setdefault((entry["method"], verdict["name"]), []).append((entry, verdict))
    for (method, name), found in groups.items():
        entry, verdict = found[0]
        who = (
            f"{method}, λ = {entry['lambda']:g}, seed {', '.join(str(e['seed']) for e, _ in found)}"
        )
        yield (
            f"health: {verdict['severity']}: {name} ({who}, epoch {entry['epoch']}): "
            f"{verdict['message']}; {verdict['mend']}"
        )


def write_health(folder: Path, stacks: Sequence[Health]) -> None:
    """Write ``health.json`` into a run folder.

    Args:
        folder: of the run.
        stacks: in the order of the history; members are numbered through.
    """
    looks, first = [], 0
    for health in stacks:
        looks += [{**entry, "member": first + entry["member"]} for entry in health.entries]
        first += health.members
    content = {"format_version": FORMAT_VERSION, "figures": FIGURES, "looks": looks}
    write_whole(folder / "health.json", json.dumps(content, indent=1, allow_nan=False).encode())
