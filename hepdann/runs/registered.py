"""What a user registered from Python, on its way to a worker process: functions, by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from .. import methods, networks
from ..config import TrainConfig
from ..methods import Method
from ..networks import Factory
from ..shifts import registry
from ..shifts.registry import Entry

__all__ = ["Registered"]


@dataclass(frozen=True)
class Registered:
    """Networks, shifts and methods of the user.

    Attributes:
        networks: by name.
        shifts: by name.
        methods: each with the name of the method of hepdann that has the very same phases, if one
            has; only members whose phases are one object share a stack.
    """

    networks: Mapping[str, Factory]
    shifts: Mapping[str, Entry]
    methods: tuple[tuple[Method, str], ...]

    @classmethod
    def needed(cls, train: TrainConfig, shift_names: Iterable[str] = ()) -> Registered:
        """What was registered in this process and a training uses; the rest may not travel.

        Args:
            train: settings.
            shift_names: names of shifts that these do not hold.
        """
        named = [train.shift, *(train.auxiliary_shifts or ())]
        shifts = [*shift_names, *(shift.name for shift in named if shift)]
        used = {name for shift in shifts for name in shift.split("+")}
        factories = {}
        if train.network in networks.names():
            factory = networks.get(train.network)
            if factory is not networks.BUILT_IN.get(train.network):
                factories[train.network] = factory
        asked = {name for method in train.methods for name in method.split("+")}
        user_methods = (method for name, method in methods.registered().items() if name in asked)
        entries = {name: e for name, e in registry.registered().items() if name in used}
        return cls(factories, entries, tuple(map(_without_phases, user_methods)))

    def register(self) -> None:
        """Register it in this process too."""
        for name, factory in self.networks.items():
            networks.register(name, factory)
        registry.restore(self.shifts)
        for method, built_in in self.methods:
            phases = methods.BUILT_IN[built_in].phases if built_in else method.phases
            methods.register(replace(method, phases=phases))


def _without_phases(method: Method) -> tuple[Method, str]:
    same = (name for name, known in methods.BUILT_IN.items() if known.phases is method.phases)
    built_in = next(same, "")
    return (replace(method, phases=()) if built_in else method), built_in
