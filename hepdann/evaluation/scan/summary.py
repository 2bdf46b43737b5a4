"""``scan.json``: means over members, ensembles, the gap closed, and the choice of λ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..metrics.method import number

CRITERION = "teacher-agreement"
_SIGNIFICANT = 2.0  # standard errors; a smaller gap cannot be closed, nor left open

Row = Mapping[str, Any]
Key = tuple[str, float | None, str | None, float | None]


def group_of(row: Row) -> Key:
    """(method, λ, shift, t) of a row: what the seeds of a group share."""
    return row["method"], row["lambda"], row["shift"], row["t"]


def gap_closed(
    value: float | None, source: float | None, gap: float | None, error: float | None
) -> float | None:
    """``(value - source)/(oracle - source)``: 0 is source-only, 1 the oracle.

    ``gap`` is oracle minus source-only. ``None`` where it is not larger than two of its (paired)
    standard errors: there is nothing to close then, and the ratio would be noise over noise.
    """
    if value is None or source is None or gap is None or error is None:
        return None
    if not gap > _SIGNIFICANT * error:
        return None
    return (value - source) / gap


def spread(values: Iterable[float | None]) -> dict[str, float | None]:
    """Mean and standard deviation over members; ``None`` where no member has a value."""
    known = np.array([v for v in values if v is not None and math.isfinite(v)], dtype=np.float64)
    return {
        "mean": number(float(known.mean())) if len(known) else None,
        "std": number(float(known.std(ddof=1))) if len(known) > 1 else None,
    }


def summarise_scan(
    rows: Sequence[Row], groups: Sequence[Mapping[str, Any]], majorities: Mapping[Any, Any]
) -> dict[str, Any]:
    """Mean ± std of each group, its ensemble, the gap closed, and the choice of λ, for JSON.

    Args:
        rows: one a member, as ``scan.csv`` has them.
        groups: one a (method, λ, shift, t): ``ensemble`` figures of the mean score, and the
            oracle's with ``gap``.
        majorities: by (shift, t), target accuracy of the most frequent class.
    """
    members: dict[Key, list[Row]] = {}
    for row in rows:
        members.setdefault(group_of(row), []).append(row)
    gaps = {(g["shift"], g["t"]): g["gap"] for g in groups if g.get("gap")}
    sources = {(g["shift"], g["t"]): g["ensemble"] for g in groups if g["method"] == "source-only"}
    out = [
        _group(
            group, members[group_of(group)], gaps, sources, majorities[group["shift"], group["t"]]
        )
        for group in groups
    ]
    return {"groups": out, "choices": choose(out)}


def _group(
    group: Mapping[str, Any],
    members: Sequence[Row],
    gaps: Mapping[Any, Any],
    sources: Mapping[Any, Any],
    majority: float | None,
) -> dict[str, Any]:
    point = group["shift"], group["t"]
    blocks: dict[str, Any] = {}
    for name, prefix in (("last_epoch", ""), ("chosen", "chosen_"), ("peeked", "peeked_")):
        figures = ("target_accuracy", "target_auc", *(() if prefix else _LAST))
        blocks[name] = {
            figure: spread(row[f"{prefix}{figure}"] for row in members) for figure in figures
        }
        if prefix:
            blocks[name]["epochs"] = [row[f"{prefix}epoch"] for row in members]
    gap, source = gaps.get(point) or {}, sources.get(point) or {}
    return {
        "method": group["method"],
        "lambda": group["lambda"],
        "shift": group["shift"],
        "t": group["t"],
        "members": len(members),
        "majority": majority,
        "ensemble": dict(group["ensemble"]),
        **blocks,
        "gap_closed": {
            figure: gap_closed(
                group["ensemble"][f"target_{figure}"],
                source.get(f"target_{figure}"),
                gap.get(figure),
                gap.get(f"{figure}_error"),
            )
            for figure in ("accuracy", "auc")
        },
    }


_LAST = ("mc_accuracy", "mc_auc", "consistency", "agreement", "validation_loss")


def choose(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The λ of each method at each target: by agreement with the teacher, which needs no label.

    ``peeked_lambda`` is what the target's labels would have chosen. It is shown so that nobody is
    fooled, and used for nothing. One entry a (method, shift, t).
    """
    by_target: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for group in groups:
        by_target.setdefault((group["method"], group["shift"], group["t"]), []).append(group)
    choices = []
    for (method, shift, t), candidates in by_target.items():
        best = _best(candidates, "agreement")
        peeked = _best(candidates, "target_accuracy")
        fallback = candidates[len(candidates) // 2]
        choices.append(
            {
                "method": method,
                "shift": shift,
                "t": t,
                "criterion": CRITERION if best is not None and len(candidates) > 1 else None,
                "lambda": (best or fallback)["lambda"],
                "peeked_lambda": None if peeked is None else peeked["lambda"],
            }
        )
    return choices


def _best(candidates: Sequence[Mapping[str, Any]], figure: str) -> Mapping[str, Any] | None:
    known = [c for c in candidates if c["ensemble"][figure] is not None]
    return max(known, key=lambda c: float(c["ensemble"][figure]), default=None)
