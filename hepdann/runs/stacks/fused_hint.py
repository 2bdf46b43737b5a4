"""A hint to users whose training the fused engine would run faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...networks import NetworkShape
from ...training import Settings
from ...training.step.engine import fused_installed, unfusable
from .shards import Shard

_LONG = 50_000_000  # events, each once for every network; less take torch about a minute
_FEW = 7  # networks side by side, up to which calling torch costs as much as computing


def suggest_fused(
    shards: Sequence[Shard], shape_of: Callable[[Shard], NetworkShape], settings: Settings
) -> str | None:
    """A line where the fused engine is installed, would train most networks, and is not asked for.

    Args:
        shards: of the run.
        shape_of: the networks of a shard.
        settings: of the training.

    Returns:
        ``None`` also where the training is so short that it would hardly pay.
    """
    if settings.engine not in ("auto", "torch") or not fused_installed():
        return None
    able = [
        shard
        for shard in shards
        if not unfusable(shape_of(shard), shard.plan.members[0].method.phases, settings)
    ]
    members = _members(able)
    if 2 * members < _members(shards) or settings.events * members < _LONG:
        return None
    largest = max(len(shard.plan.members) for shard in able)
    gain = "1.3 to 3.5 times as fast" if largest <= _FEW else "about 1.4 times as fast"
    return f"--engine fused trains such networks {gain}, the same within rounding (docs/train.md)"


def _members(shards: Sequence[Shard]) -> int:
    return sum(len(shard.plan.members) for shard in shards)
