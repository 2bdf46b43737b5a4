"""What a user registered from Python, on its way to a worker process: functions, by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .. import methods, networks
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
    def here(cls) -> Registered:
        """All that was registered in this process."""
        known = {name: networks.get(name) for name in networks.names()}
        theirs = {name: f for name, f in known.items() if f is not networks.BUILT_IN.get(name)}
        own = tuple(map(_without_phases, methods.registered().values()))
        return cls(theirs, registry.registered(), own)

    def register(self) -> None:
        """Register it in this process too."""
        for name, factory in self.networks.items():
            networks.register(name, factory)
        registry.restore(self.shifts)
        for method, like in self.methods:
            phases = methods.BUILT_IN[like].phases if like else method.phases
            methods.register(replace(method, phases=phases))


def _without_phases(method: Method) -> tuple[Method, str]:
    same = (name for name, own in methods.BUILT_IN.items() if own.phases is method.phases)
    like = next(same, "")
    return (replace(method, phases=()) if like else method), like
