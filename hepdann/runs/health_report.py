"""``health.json``: the figures of every network while it trained, and its faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..inputs import read_json
from ..records import Look
from ..store.content import HealthLooks
from ..store.paths import RunPaths
from ..store.reading import write_json
from ..training import FIGURES, Health
from .stacks.shards import Shard

FORMAT_VERSION = 1


def fault_lines(entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One line for each fault, of all networks of a method that have it."""
    groups: dict[tuple[str, str], list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for entry in entries:
        for verdict in entry["verdicts"]:
            groups.setdefault((entry["method"], verdict["name"]), []).append((entry, verdict))
    for (method, name), affected in groups.items():
        entry, verdict = affected[0]
        seeds = ", ".join(str(e["seed"]) for e, _ in affected)
        networks = f"{method}, λ = {entry['lambda']:g}, seed {seeds}"
        yield (
            f"health: {verdict['severity']}: {name} ({networks}, epoch {entry['epoch']}): "
            f"{verdict['message']}; {verdict['mend']}"
        )


def last_verdicts(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The faults of networks at their last check, one entry for all seeds."""
    last = {entry["member"]: entry for entry in entries}
    merged: dict[tuple[str, float, str], dict[str, Any]] = {}
    for entry in last.values():
        about = {name: entry[name] for name in ("method", "lambda", "epoch")}
        for verdict in entry["verdicts"]:
            key = entry["method"], entry["lambda"], verdict["name"]
            merged.setdefault(key, about | verdict | {"seeds": []})["seeds"].append(entry["seed"])
    return list(merged.values())


def scan_lines(verdicts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each fault of a scan.

    Args:
        verdicts: of ``scan.json``.
    """
    for verdict in verdicts:
        seeds = ", ".join(map(str, verdict["seeds"]))
        where = "" if verdict["shift"] is None else f", {verdict['shift']} t={verdict['t']:g}"
        yield (
            f"health: {verdict['severity']}: {verdict['name']} ({verdict['method']}, "
            f"λ = {verdict['lambda']:g}{where}, seed {seeds}): {verdict['message']}; "
            f"{verdict['mend']}"
        )


def write_health(folder: Path, stacks: Sequence[Health]) -> None:
    """Write ``health.json`` into a run folder.

    Args:
        stacks: in the order of the history; members are numbered through.
    """
    _write(folder, [(health.members, health.entries) for health in stacks])


@contextmanager
def failure_noted(folder: Path, shards: Sequence[Shard]) -> Iterator[None]:
    """Write ``health.json`` where a training ends at a loss that is not finite."""
    try:
        yield
    except RunError:
        looks: list[tuple[int, list[dict[str, Any]]]] = []
        for number, shard in enumerate(shards):
            notes = RunPaths(folder).health_notes(number)
            entries = read_json(notes, list[Look]) if notes.exists() else []
            looks.append((len(shard.plan.members), entries))
        verdicts = (v["name"] for _, entries in looks for e in entries for v in e["verdicts"])
        if "not-finite" in verdicts:
            _write(folder, looks)
        raise


def _write(folder: Path, shards: Sequence[tuple[int, list[dict[str, Any]]]]) -> None:
    looks, first = [], 0
    for members, entries in shards:
        looks += [{**entry, "member": first + entry["member"]} for entry in entries]
        first += members
    looks.sort(key=lambda look: (look["epoch"], look["member"]))
    content = {"format_version": FORMAT_VERSION, "figures": FIGURES, "looks": looks}
    write_json(RunPaths(folder).health, HealthLooks, content)
