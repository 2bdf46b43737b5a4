"""Where the time of a training goes, measured while it goes there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

_EVERY = 50  # steps between two that wait for the device
_QUEUED = "queued"


class Clock:
    """Splits the time into stages: each lap belongs to what was done since the last one.

    A lap costs less than a microsecond. On a device that works behind the program's back
    every fiftieth step waits for it; what the other steps left in its queue is shared out as those
    steps show.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.on(device)
        self._waiting = False
        self._spent: dict[str, float] = {}
        self._sampled: dict[str, float] = {}
        self._last = time.perf_counter()

    def on(self, device: str) -> None:
        """Say where the training runs."""
        self._wait = _wait_for(device)

    def step(self, number: int) -> None:
        """Say that a step begins."""
        if self._wait is None:
            return
        self._waiting = number % _EVERY == 0
        if self._waiting:
            self._wait()
            self.lap(_QUEUED)

    def lap(self, stage: str) -> None:
        """Give the time since the last lap to a stage."""
        if self._waiting and self._wait is not None:
            self._wait()
        now = time.perf_counter()
        self._spent[stage] = self._spent.get(stage, 0.0) + now - self._last
        if self._waiting and stage != _QUEUED:
            self._sampled[stage] = self._sampled.get(stage, 0.0) + now - self._last
        self._last = now

    def share(self, stages: Mapping[str, float]) -> None:
        """Give the time since the last lap to stages, as much as their part of a sum.

        Args:
            stages: seconds that others spent meanwhile; none are stage ``step``.
        """
        now, total = time.perf_counter(), sum(stages.values())
        for stage, seconds in stages.items() if total else [("step", 1.0)]:
            part = (now - self._last) * seconds / (total or 1.0)
            self._spent[stage] = self._spent.get(stage, 0.0) + part
        self._last = now

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each stage, in the order in which they first came; their sum is the time."""
        spent = dict(self._spent)
        queued, sampled = spent.pop(_QUEUED, 0.0), sum(self._sampled.values())
        if queued and not sampled:
            return spent | {"step": spent.get("step", 0.0) + queued}
        for stage, seconds in self._sampled.items():
            spent[stage] += queued * seconds / sampled
        return spent


def _wait_for(device: str) -> Callable[[], None] | None:
    """What waits for the device; a CPU needs none."""
    return {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(
        torch.device(device).type
    )
