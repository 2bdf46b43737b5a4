"""The state of a stack that a step changes: networks, flat buffers and optimisers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from ...methods import Phase
from ...networks import AdversarialNetwork, NetworkShape
from ..batches import Slot
from ..settings import Settings
from ..timing import Clock
from .optimisers import LossScale, ParameterBuffer, StackOptimiser


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
            weights = [torch.stack([d.weight_statistics for d in own]) for own in domains]
            weighted = any(slot.weighted for slot in slots)
            self.network.collect_statistics(
                *(torch.stack([d.x_statistics for d in own]) for own in domains),
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
            for key, own in self.loss_scale.state().items():
                move(own, other.loss_scale.state()[key])
