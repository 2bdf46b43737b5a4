"""What a user registered from Python, on its way to a worker process: functions, by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...config import TrainConfig
from ...methods import Method
from ...registry import ALIGNMENTS, METHODS, NETWORKS, SHIFTS


@dataclass(frozen=True)
class Registered:
    """Shifts, alignments, networks and methods of the user.

    What an installed package brings is not among them: each process imports it by its name.

    Attributes:
        methods: each with the name of the method of hepdann that has the very same phases, if one
            has; only members whose phases are one object share a stack.
    """

    shifts: Mapping[str, Any]
    alignments: Mapping[str, Any]
    networks: Mapping[str, Any]
    methods: tuple[tuple[Method, str], ...]

    @classmethod
    def needed(
        cls, train: TrainConfig, shifts: Iterable[str] = (), alignments: Iterable[str] = ()
    ) -> Registered:
        """What was registered in this process and a training uses; the rest may not travel."""
        named = [train.shift, *(train.auxiliary_shifts or ())]
        used = _parts([*shifts, *(shift.name for shift in named if shift)])
        methods = _parts(train.methods)
        return cls(
            SHIFTS.registered(used),
            ALIGNMENTS.registered(methods | _parts([*alignments, *train.alignments])),
            NETWORKS.registered([train.network or ""]),
            tuple(map(_without_phases, METHODS.registered(methods).values())),
        )

    def register(self) -> None:
        """Register it in this process too."""
        SHIFTS.restore(self.shifts)
        ALIGNMENTS.restore(self.alignments)
        NETWORKS.restore(self.networks)
        for method, built_in in self.methods:
            phases = METHODS[built_in].phases if built_in else method.phases
            METHODS.restore({method.name: replace(method, phases=phases)})


def _parts(names: Iterable[str]) -> set[str]:
    return {part.strip() for name in names for part in name.split("+")}


def _without_phases(method: Method) -> tuple[Method, str]:
    built_in = next((name for name in METHODS.own if METHODS[name].phases is method.phases), "")
    return (replace(method, phases=()) if built_in else method), built_in
