"""What a step does with torch: objective, gradients, clipping, update and averages of a stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..methods import Batch, Strength
from .stack import Stack

__all__ = ["Pace", "torch_step"]


@dataclass(frozen=True)
class Pace:
    """What a step takes from the schedules and settings.

    Where these are tensors the operations of a step are the same ones whatever they hold, so that
    they can be captured once and run again.

    Attributes:
        strength: how strongly the domain loss acts.
        rate: the largest learning rate of the members.
        share: (K, 1) of it that each member takes; ``None`` where all take all of it.
        clip: largest gradient norm of each member's part.
        fresh: share of the new parameters in the averaged ones.
    """

    strength: Strength
    rate: float | Tensor
    share: Tensor | None
    clip: float
    fresh: float | Tensor


def torch_step(
    stack: Stack, batch: Batch, pace: Pace, lap: Callable[[str], None]
) -> dict[str, Tensor]:
    """Train one step, phase after phase.

    Args:
        stack: is changed in place.
        batch: its events.
        pace: of the step.
        lap: told of each stage that is done.

    Returns:
        (K,) figures of the batch.
    """
    seen, processes = dict[str, Tensor](), stack.settings.processes
    for phase, optimiser in zip(stack.phases, stack.optimisers, strict=True):
        for part in stack.parts.values():
            part.gradient.zero_()
        objective = phase.objective(stack.network, batch, pace.strength)
        lap("forward")
        values, moved = objective.value, [stack.parts[name] for name in phase.parts]
        if stack.loss_scale is not None:
            values = stack.loss_scale.losses(values)
        values.sum().backward()  # type: ignore[no-untyped-call]
        lap("backward")
        processes.average([part.gradient for part in moved])
        if stack.loss_scale is not None:
            stack.loss_scale.unscale(moved)
        for part in moved:
            part.clip(pace.clip)
        optimiser.move(pace.rate, pace.share)
        seen |= objective.seen
        processes.average(list(objective.seen.values()))
        lap("optimiser")
    for part in stack.parts.values():
        part.update_average(pace.fresh)
    lap("optimiser")
    return seen
