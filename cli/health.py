"""Shows the health of a run: its faults, a line each, and the figures that they are seen by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS = (
    ("own AUC", "own_auc", 3),
    ("fresh AUC", "fresh_auc", 3),
    ("label gradient", "label_gradient", 4),
    ("domain gradient", "domain_gradient", 4),
    ("angle", "angle", 0),
    ("λ's effect", "effect", 3),
    ("dead units", "dead_units", 2),
    ("rank", "feature_rank", 1),
)


def lines(metrics: Mapping[str, Any], *, brief: bool = False) -> list[str]:
    """One line for each method and fault, and what the figures say of each adversary."""
    blocks = {name: block.get("health") for name, block in metrics["methods"].items()}
    known = {name: health for name, health in blocks.items() if health}
    lines = [line for name, health in known.items() for line in _diseases(name, health)]
    if known and not lines:
        epochs = sorted({health["epoch"] for health in known.values()})
        lines.append(f"health: no fault of the training (last look after epoch {_listed(epochs)})")
    if not brief:
        lines += [f"adversary of {n}: {h['reading']}" for n, h in known.items() if h["reading"]]
    return lines


def _diseases(method: str, health: Mapping[str, Any]) -> list[str]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for verdict in health["verdicts"]:
        if verdict["until"] == health["epoch"]:
            groups.setdefault(verdict["name"], []).append(verdict)
    return [
        f"health: {found[0]['severity']}: {name} ({method}, λ = {found[0]['lambda']:g}, "
        f"seed {_listed(v['seed'] for v in found)}): {found[0]['message']}; {found[0]['mend']}"
        for name, found in groups.items()
    ]


def _listed(values: Any) -> str:
    return ", ".join(str(value) for value in values)


def figures(metrics: Mapping[str, Any], table: Table) -> Table:
    """Fill a table with the figures of the last look, mean over a method's networks."""
    for name, block in metrics["methods"].items():
        health = block.get("health")
        if not health:
            continue
        cells = []
        for _, key, digits in _COLUMNS:
            mean = health["figures"].get(key, {}).get("mean")
            cells.append("-" if mean is None else f"{mean:.{digits}f}")
        table.add_row(name, *cells)
    return table


def columns() -> tuple[str, ...]:
    """Headings of the table of :func:`figures`."""
    return tuple(title for title, _, _ in _COLUMNS)
