"""The state of a stack: networks, flat buffers, optimisers, history, chosen epochs; checkpoints.

A checkpoint is everything that a bit-identical resume needs, whole or not at all, no pickle.
Batches follow from (seed, epoch) and schedules from the step, so it holds the parameters, their
average, the optimisers' moments, the step and the sums of the epoch's figures. The weights of each
member's best epoch stand beside the last ones, in the same file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save
from torch import Tensor

from ..domains.event_stream import AUXILIARY, SOURCE, TARGET, DomainEvents
from ..errors import RunError
from ..inputs import read_tensors
from ..methods import Phase
from ..networks import AdversarialNetwork, NetworkShape
from ..outputs import write_run_file
from ..records import HistoryRowOf
from .batches import Slot
from .optimisers import LossScale, ParameterBuffer, StackOptimiser
from .schedules import HistoryRow, MemberSchedules
from .settings import Clock, Member, Settings


class Stack:
    """K networks side by side and all that moves them.

    Attributes:
        parts: their parameters and averages, a flat buffer for each part of the network.
        loss_scale: of networks of images in half precision, ``None`` of others.
    """

    def __init__(
        self,
        shape: NetworkShape,
        seeds: Sequence[int],
        phases: tuple[Phase, ...],
        settings: Settings,
    ) -> None:
        self.seeds, self.phases, self.settings = tuple(seeds), phases, settings
        self.network = AdversarialNetwork(shape, seeds).to(settings.device, settings.dtype)
        self.parts = {name: ParameterBuffer(self.network.part(name)) for name in self.network.parts}
        self.loss_scale: LossScale | None = None
        if shape.views and shape.autocast == "fp16":
            self.loss_scale = LossScale(len(seeds), self.parts["extractor"].value.detach())
        self.clock = Clock(settings.device)
        self.optimisers = [
            StackOptimiser(
                [self.parts[part] for part in phase.parts],
                settings.optimiser,
                weight_decay=settings.weight_decay,
                momentum=settings.momentum,
                shares=[1.0 if part == "extractor" else settings.head_rate for part in phase.parts],
            )
            for phase in phases
        ]

    def set_step(self, step: int) -> None:
        """Say which step comes next; random numbers depend on it, and on the process."""
        processes = self.settings.processes
        self.network.set_step(step * processes.count + processes.rank)

    def select(self, members: Sequence[int]) -> Stack:
        """A smaller stack of some members, in the state that they have here."""
        seeds = [self.seeds[k] for k in members]
        smaller = Stack(self.network.shape, seeds, self.phases, self.settings)
        smaller.clock = self.clock
        self._exchange(
            smaller, lambda own_part, other_part: other_part.copy_(own_part[list(members)])
        )
        for own_part, other_part in zip(self.optimisers, smaller.optimisers, strict=True):
            other_part.take(own_part, members)
        return smaller

    def put(self, smaller: Stack, members: Sequence[int]) -> None:
        """Take the state of some members back from a smaller stack; the others stay as they are."""

        def put(own_part: Tensor, other_part: Tensor) -> None:
            own_part[list(members)] = other_part

        self._exchange(smaller, put)
        for own_part, other_part in zip(self.optimisers, smaller.optimisers, strict=True):
            own_part.put(other_part, members)

    @contextmanager
    def averaged(self, slots: Sequence[Slot]) -> Iterator[AdversarialNetwork]:
        """The network with its averaged weights and with statistics that belong to them."""
        for part in self.parts.values():
            part.swap()
        try:
            self.network.eval()
            domains = [[s.events[i] for i in s.chosen] for s in slots]
            weights = [
                torch.stack([d.weight_statistics for d in by_member]) for by_member in domains
            ]
            weighted = any(slot.weighted for slot in slots)
            self.network.collect_statistics(
                *([d.x_statistics for d in by_member] for by_member in domains),
                weight=torch.cat(weights, dim=1).abs() if weighted else None,
            )
            yield self.network
        finally:
            for part in self.parts.values():
                part.swap()

    @torch.no_grad()
    def _exchange(self, other: Stack, move: Callable[[Tensor, Tensor], object]) -> None:
        for name, part in self.parts.items():
            other_buffer = other.parts[name]
            for own_part, other_part in (
                (part.value.data, other_buffer.value.data),
                (part.average, other_buffer.average),
            ):
                for pair in zip(
                    part.by_member(own_part), other_buffer.by_member(other_part), strict=True
                ):
                    move(*pair)
        if self.loss_scale is not None and other.loss_scale is not None:
            for key, values in self.loss_scale.state().items():
                move(values, other.loss_scale.state()[key])


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
    def slots(self) -> tuple[Slot, ...]:
        """The domains of a batch, of all members."""
        return slots_of(self.members, self.sources, self.targets)

    @property
    def finished(self) -> bool:
        """Whether all epochs are trained, or all members have stopped."""
        return self.epoch >= self.settings.epochs or not self.running

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


_FORMAT = "hepdann-checkpoint"


def save_checkpoint(trainer: StackState, path: str | Path, fingerprint: str) -> None:
    """Write the state of a stack after a step; the folder is made.

    The fingerprint is of everything that the training depends on; a resume must show the same.
    """
    tensors: dict[str, Tensor] = {}
    for name, part in trainer.parts.items():
        tensors[f"value.{name}"] = part.value.detach()
        tensors[f"average.{name}"] = part.average
        tensors[f"best.{name}"] = trainer.best.average[name]
    tensors["sums"] = trainer.sums
    for phase, optimiser in enumerate(trainer.stack.optimisers):
        for key, value in optimiser.state().items():
            tensors[f"optimiser.{phase}.{key}"] = value
    if trainer.stack.loss_scale is not None:
        for key, value in trainer.stack.loss_scale.state().items():
            tensors[f"loss_scale.{key}"] = value
    metadata = {
        "format": _FORMAT,
        "fingerprint": fingerprint,
        "epoch": str(trainer.epoch),
        "position": str(trainer.position),
        "best": json.dumps({"loss": trainer.best.loss, "epoch": trainer.best.epoch}),
        "history": json.dumps(trainer.history),
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    contiguous = {key: value.contiguous().cpu() for key, value in tensors.items()}
    write_run_file(path, save(contiguous, metadata=metadata))


def load_checkpoint(trainer: StackState, path: str | Path, fingerprint: str) -> bool:
    """Put a stack into the state of a checkpoint.

    Raises:
        RunError: it is damaged, or belongs to other tensors or settings.
    """
    if not Path(path).exists():
        return False
    metadata, tensors = read_tensors(Path(path))
    if metadata.get("format") != _FORMAT or metadata.get("fingerprint") != fingerprint:
        raise RunError(
            "the checkpoint belongs to other tensors or settings",
            where=path,
            mend="resume with those of the run, or start a new run",
        )
    try:
        _restore(trainer, metadata, tensors)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        raise RunError(
            f"the checkpoint does not fit this version: {error}", where=path, mend="train anew"
        ) from error
    return True


def _restore(trainer: StackState, metadata: dict[str, str], tensors: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, part in trainer.parts.items():
            _fill(part.value, tensors[f"value.{name}"])
            _fill(part.average, tensors[f"average.{name}"])
            _fill(trainer.best.average[name], tensors[f"best.{name}"])
        sums = tensors["sums"]
        older = len(sums) == len(trainer.sums) - 1  # without the loss of nuisances
        _fill(trainer.sums.zero_()[:-1] if older else trainer.sums, sums)
    for phase, optimiser in enumerate(trainer.stack.optimisers):
        optimiser.load_state(_below(f"optimiser.{phase}.", tensors))
    if trainer.stack.loss_scale is not None:
        trainer.stack.loss_scale.load_state(_below("loss_scale.", tensors))
    stands = {name: json.loads(metadata[name]) for name in ("epoch", "position", "best", "history")}
    now = _Stands.model_validate(stands)
    members, settings = len(trainer.members), trainer.settings
    rows = [(row.epoch, row.member) for row in now.history]
    if (
        now.epoch > settings.epochs
        or now.position > settings.steps
        or {len(now.best.loss), len(now.best.epoch)} != {members}
        or not all(-1 <= epoch < max(now.epoch, 1) for epoch in now.best.epoch)
        or not all(0 < epoch <= now.epoch and member < members for epoch, member in rows)
        or len(set(rows)) < len(rows)
    ):
        raise ValueError("epochs, steps or members that this training has not")
    trainer.epoch, trainer.position = now.epoch, now.position
    trainer.best.loss, trainer.best.epoch = now.best.loss, now.best.epoch
    trainer.history = stands["history"]
    trainer.look_back()


class _BestStands(BaseModel):
    model_config = ConfigDict(strict=True)

    loss: list[float]
    epoch: list[int]


class _Stands(BaseModel):
    """Where a training stands, as its checkpoint says it."""

    model_config = ConfigDict(strict=True)

    epoch: Annotated[int, Field(ge=0)]
    position: Annotated[int, Field(ge=0)]
    best: _BestStands
    history: list[HistoryRowOf]


def _fill(state: Tensor, stored: Tensor) -> None:
    if state.shape != stored.shape:  # which copying would broadcast
        raise ValueError(f"size {tuple(stored.shape)}, not {tuple(state.shape)}")
    state.copy_(stored)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
