"""The state of a stack that a step changes: networks, flat buffers and optimisers."""

from __future__ import annotations

from collections.abc import Sequence

from ..methods import Phase
from ..networks import AdversarialNetwork, NetworkShape
from .flat import FlatPart
from .optimisers import StackOptimiser
from .settings import Settings

__all__ = ["Stack"]


class Stack:
    """K networks side by side and all that moves them.

    Args:
        shape: of every network.
        seeds: (K,) of the members' initial weights.
        phases: the updates of a step.
        settings: of the training.

    Attributes:
        network: the K networks.
        parts: their parameters and averages, a flat buffer for each part of the network.
        phases: the updates of a step.
        optimisers: one for each phase.
    """

    def __init__(
        self,
        shape: NetworkShape,
        seeds: Sequence[int],
        phases: tuple[Phase, ...],
        settings: Settings,
    ) -> None:
        self.network = AdversarialNetwork(shape, seeds).to(settings.device, settings.dtype)
        self.parts = {name: FlatPart(self.network.part(name)) for name in self.network.PARTS}
        self.phases = phases
        self.optimisers = [
            StackOptimiser([self.parts[part] for part in phase.parts]) for phase in phases
        ]
