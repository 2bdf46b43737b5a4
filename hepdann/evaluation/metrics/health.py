"""The health of each method's networks, from what the training noted in ``health.json``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import RunError
from ...inputs import read_json
from ...store.content import HealthLooks
from ...store.paths import RunPaths

RAW = "source-only"
_INVARIANT = 0.02  # above one half
_FOOLED = 0.05  # of the own head's AUC below the fresh classifier's

Look = dict[str, Any]


def method_health(folder: Path) -> dict[str, dict[str, Any]]:
    """The ``health`` block of each method that has networks; none without ``health.json``.

    Returns:
        Method to ``epoch`` of the last look, ``verdicts`` (``name``, ``severity``, ``message``,
        ``mend``, ``member``, ``seed``, ``lambda``, the ``epoch`` it was first seen and ``until``
        which; past where that is before the last look), ``figures`` of the last look (``mean``,
        ``min``, ``max`` over the ``networks``), whether there was an ``adversary``, and a
        ``reading`` of what it reached, in words.

    Raises:
        RunError: the file is damaged.
    """
    path = RunPaths(folder).health
    if not path.exists():
        return {}
    content = read_json(path, HealthLooks)
    try:
        blocks: dict[str, dict[str, Any]] = {}
        for name in dict.fromkeys(look["method"] for look in content["looks"]):
            looks = [look for look in content["looks"] if look["method"] == name]
            blocks[name] = _block(looks, list(content["figures"]))
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"damaged: {error!r}", where=path, mend="train anew") from error
    raw = blocks.get(RAW, {}).get("figures", {}).get("fresh_auc", {}).get("mean")
    for block in blocks.values():
        block["reading"] = _reading(block, raw)
    return blocks


def _block(looks: Sequence[Look], names: Sequence[str]) -> dict[str, Any]:
    epoch = max(look["epoch"] for look in looks)
    last = [look for look in looks if look["epoch"] == epoch]
    return {
        "epoch": epoch,
        "verdicts": _verdicts(looks),
        "figures": {name: _spread([look[name] for look in last]) for name in names},
        "reading": None,
        "networks": len(last),
        "adversary": any(look["grl"] for look in last),
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "min": None, "max": None}
    return {"mean": float(np.mean(known)), "min": min(known), "max": max(known)}


def _verdicts(looks: Sequence[Look]) -> list[dict[str, Any]]:
    latest: dict[tuple[int, str], dict[str, Any]] = {}
    for look in sorted(looks, key=lambda look: int(look["epoch"])):
        for verdict in look["verdicts"]:
            about = {key: look[key] for key in ("member", "seed", "lambda")}
            first = latest.get((look["member"], verdict["name"]), {}).get("epoch", look["epoch"])
            latest[look["member"], verdict["name"]] = (
                verdict | about | {"epoch": first, "until": look["epoch"]}
            )
    return list(latest.values())


def _reading(block: dict[str, Any], raw: float | None) -> str | None:
    """What own head and fresh classifier say together of an adversary's features, in words."""
    figures = block["figures"]
    head, probe = figures["own_auc"]["mean"], figures["fresh_auc"]["mean"]
    if probe is None or not block["adversary"]:
        return None
    error = (figures["auc_error"]["mean"] or 0.0) / math.sqrt(block["networks"])
    without = "" if raw is None else f"; {raw:.3f} without an adversary"
    leak = f"a fresh classifier of the features tells the domains apart (AUC {probe:.3f}{without})"
    if probe <= 0.5 + max(_INVARIANT, 3 * error):
        return (
            "the features are invariant: a fresh classifier cannot tell the domains apart "
            f"(AUC {probe:.3f}{without})"
        )
    if head is None:
        return f"the features are not invariant: {leak}"
    if head >= probe - _FOOLED:
        return f"the features are not invariant: the own domain head (AUC {head:.3f}) knows; {leak}"
    return f"the own domain head is fooled (AUC {head:.3f}), but {leak}"
