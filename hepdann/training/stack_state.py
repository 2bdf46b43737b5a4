"""A stack and what came of it: its networks, its history, and the epochs that are chosen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor

from ..domains.event_stream import AUXILIARY, SOURCE, TARGET, DomainEvents
from ..methods import Phase
from ..networks import AdversarialNetwork, NetworkShape
from .batches import Slot
from .member_schedules import HistoryRow, MemberSchedules
from .settings import Member, Settings
from .step.optimisers import ParameterBuffer
from .step.stack import Stack

SUMMED = ("label_loss", "domain_loss", "domain_accuracy", "nuisance_loss")  # rows of ``sums``


class StackState:
    """Members of a stack, wherever their training stands; all of it is in a checkpoint.

    Args:
        sources: labelled events, scaled; a member names one by index.
    """

    def __init__(
        self,
        members: Sequence[Member],
        shape: NetworkShape,
        sources: Sequence[DomainEvents],
        targets: Sequence[DomainEvents],
        settings: Settings,
    ) -> None:
        self.members = tuple(members)
        self.sources, self.targets, self.settings = tuple(sources), tuple(targets), settings
        device, dtype = settings.device, settings.dtype
        self.stack = Stack(shape, [m.seed for m in members], members[0].method.phases, settings)
        self.schedules = MemberSchedules(self.members, settings)
        self.epoch = 0
        self.position = 0  # steps of this epoch that are done
        rows = len(SUMMED), len(self.members)
        self.sums = torch.zeros(rows, device=device, dtype=dtype)  # of its figures
        self.best = Best(self.parts, len(self.members))
        self.history: list[HistoryRow] = []
        self._working = self.stack  # the members that have not stopped
        self.look_back()

    def look_back(self) -> bool:
        """Before an epoch: who has stopped, and where schedules that look back stand."""
        fewer = self.schedules.look_back(self.history)
        if fewer and self.running:
            self._working = self.stack.select(self.running)
        return fewer

    @property
    def lambda_(self) -> Tensor:
        """(K,) λ of the members, 0 of those without an adversary."""
        return self.schedules.lambda_

    @property
    def running(self) -> tuple[int, ...]:
        """Members that have not stopped."""
        return self.schedules.running

    @property
    def network(self) -> AdversarialNetwork:
        """The networks of all members."""
        return self.stack.network

    @property
    def parts(self) -> dict[str, ParameterBuffer]:
        """Their parameters and averages, by part of the network."""
        return self.stack.parts

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The updates of a step."""
        return self.stack.phases

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The domains of a batch, of all members."""
        return slots_of(self.members, self.sources, self.targets)

    @property
    def finished(self) -> bool:
        """Whether all epochs are trained, or all members have stopped."""
        return self.epoch >= self.settings.epochs or not self.running

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.settings.total_steps

    def averaged(self) -> AbstractContextManager[AdversarialNetwork]:
        """The network with its averaged weights and with statistics that belong to them."""
        return self.stack.averaged(self.slots)

    @contextmanager
    def chosen(self) -> Iterator[AdversarialNetwork]:
        """Likewise, with the weights of the epoch that each member's settings choose."""
        last = {name: part.average for name, part in self.parts.items()}
        if self.settings.choose == "best":
            for name, part in self.parts.items():
                part.average = self.best.of(name, part)
        try:
            with self.averaged() as network:
                yield network
        finally:
            for name, part in self.parts.items():
                part.average = last[name]

    @property
    def chosen_epochs(self) -> tuple[int, ...]:
        """(K,) epoch of each member whose weights :meth:`chosen` gives, counted from 1."""
        last = {int(str(row["member"])): int(str(row["epoch"])) for row in self.history}
        if self.settings.choose == "best":
            last |= {k: epoch + 1 for k, epoch in enumerate(self.best.epoch) if epoch >= 0}
        return tuple(last.get(k, 0) for k in range(len(self.members)))


def slots_of(
    members: Sequence[Member], sources: Sequence[DomainEvents], targets: Sequence[DomainEvents]
) -> tuple[Slot, ...]:
    """The domains of a batch: source, auxiliaries, target."""
    auxiliaries = zip(*(m.auxiliaries for m in members), strict=True)
    return (
        Slot(SOURCE, sources, tuple(m.source for m in members)),
        *(Slot(AUXILIARY + i, sources, chosen) for i, chosen in enumerate(auxiliaries)),
        Slot(TARGET, targets, tuple(m.target for m in members)),
    )


class Best:
    """The averaged weights that each member had at its best epoch so far.

    Kept beside the last ones in every checkpoint. Source validation loss says which epoch
    classifies the source best; it says little of the target, so the last epoch is what a run uses
    unless the user chooses.

    Attributes:
        loss: what was monitored of each member at its best epoch; infinite before the first.
    """

    def __init__(self, parts: Mapping[str, ParameterBuffer], members: int) -> None:
        self.loss = [math.inf] * members
        self.epoch = [-1] * members
        self.average: dict[str, Tensor] = {
            name: part.average.clone() for name, part in parts.items()
        }

    @torch.no_grad()
    def update(
        self, parts: Mapping[str, ParameterBuffer], epoch: int, losses: Sequence[float]
    ) -> None:
        """Keep the weights of every member whose loss has fallen below its best.

        Args:
            parts: with the weights of this epoch.
            epoch: counted from 0.
            losses: (K,) monitored figures, less is better; one that is not a number is never the
                best.
        """
        better = [k for k, loss in enumerate(losses) if loss < self.loss[k]]
        if not better:
            return
        for name, part in parts.items():
            pairs = zip(
                part.by_member(self.average[name]), part.by_member(part.average), strict=True
            )
            for best, now in pairs:
                best[better] = now[better]
        for k in better:
            self.loss[k], self.epoch[k] = losses[k], epoch

    def of(self, name: str, part: ParameterBuffer) -> Tensor:
        """A part's averaged weights of each member's best epoch; of the last, if none was best."""
        chosen = part.average.clone()
        improved = [k for k, epoch in enumerate(self.epoch) if epoch >= 0]
        for now, best in zip(
            part.by_member(chosen), part.by_member(self.average[name]), strict=True
        ):
            now[improved] = best[improved]
        return chosen
