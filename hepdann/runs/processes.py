"""Can some processes share the steps of a run?"""

from __future__ import annotations

from collections.abc import Sequence

from ..config import TrainConfig
from ..errors import ConfigError
from ..training import distributed
from .stack_plan import StackPlan

__all__ = ["sharing"]

_MEANS = ("source-only", "dann", "dann-alternating", "dann-joint")  # of events, one by one


def sharing(
    train: TrainConfig, plans: Sequence[StackPlan], *, images: bool
) -> distributed.Processes:
    """The processes that train together, if they can.

    Args:
        train: resolved settings.
        plans: the stacks.
        images: whether events are images.

    Raises:
        ConfigError: their steps would not be those of one process.
    """
    if not distributed.wanted():
        return distributed.ALONE
    if not images:
        raise ConfigError(
            "torchrun shares the training of images, and these events are features",
            where="hepdann train",
            mend="run it without torchrun: a stack of small networks fits one process",
        )
    processes = distributed.join()
    assert isinstance(train.batch_size, int)
    processes.check(train.batch_size)
    used = dict.fromkeys(m.method.name for plan in plans for m in plan.members)
    other = [name for name in used if name not in _MEANS]
    if other:
        raise ConfigError(
            f"the loss of {other[0]} is no mean over events, so processes cannot share a batch",
            where="train.methods",
            mend=f"take one of {', '.join(_MEANS)}",
        )
    return processes
