"""Several processes that train one stack together, started by torchrun.

Every process has the same networks and goes through the same batches, of which it takes its share.
Gradients are averaged before they are clipped, so the steps are those of one process with the whole
batch, within rounding. Figures of a batch are averaged with them.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError

_PATIENCE = timedelta(days=7)  # one process diagnoses, scores and evaluates while the others wait


@dataclass(frozen=True)
class Processes:
    """Those that train one stack."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes the run."""
        return self.rank == 0

    def share(self, size: int) -> slice:
        """The part of ``size`` events of a domain that this process trains on."""
        share = size // self.count
        return slice(self.rank * share, (self.rank + 1) * share)

    def check(self, batch_size: int) -> None:
        """Whether a batch can be shared.

        Raises:
            ConfigError: it has no equal shares.
        """
        if batch_size % self.count:
            raise ConfigError(
                f"{self.count} processes cannot share a batch of {batch_size} events",
                where="train.batch_size",
                mend=f"take a multiple of {self.count}",
            )

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over all processes."""
        if self.count == 1 or not tensors:
            return
        from torch import distributed

        for tensor in tensors:
            distributed.all_reduce(tensor)
            tensor /= self.count

    def any(self, answer: bool) -> bool:
        """Whether any process says yes; asked by all of them at the same moment."""
        if self.count == 1:
            return answer
        from torch import distributed

        flag = torch.tensor([float(answer)])
        distributed.all_reduce(flag, group=_control())
        return bool(flag.item() > 0)


ALONE = Processes()


def wanted() -> bool:
    """Whether this process was started by torchrun as one of several."""
    known = all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"))
    return known and int(os.environ["WORLD_SIZE"]) > 1


def join() -> Processes:
    """Meet the other processes of this torchrun; alone without one.

    With GPUs each process takes that of its local rank.
    """
    if not wanted():
        return ALONE
    from torch import distributed

    if not distributed.is_initialized():
        backend = "gloo"
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            backend = "nccl"
        distributed.init_process_group(backend, timeout=_PATIENCE)
        atexit.register(distributed.destroy_process_group)
    return Processes(distributed.get_rank(), distributed.get_world_size())


@cache
def _control() -> Any:
    """The group by which processes talk, whatever their tensors go by."""
    from torch import distributed

    return distributed.new_group(backend="gloo", timeout=_PATIENCE)


def broadcast(message: Any = None) -> Any:
    """What the first process says; called by all of them at the same moment."""
    from torch import distributed

    box = [message]
    distributed.broadcast_object_list(box, 0, group=_control())
    return box[0]
