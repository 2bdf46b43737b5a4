"""The members and settings of a training, the progress and the times that it reports."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config.schedules import LambdaSchedule, RateSchedule
from ..methods import Method
from .distributed import ALONE, Processes

_COSINE, _GANIN = RateSchedule(name="cosine"), LambdaSchedule(name="ganin")  # both are frozen
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # without it cuBLAS may sum in another order


@dataclass(frozen=True)
class Member:
    """One of the K networks of a stack.

    Attributes:
        source: index into the stack's sources; the oracle has one of its own.
        auxiliaries: indices into the stack's sources of further labelled domains, as a rule copies
            of the source under other shifts; members of one stack have equally many.
        name: of the method in figures and tables, where that differs ("oracle").
    """

    method: Method
    lambda_: float
    seed: int
    source: int = 0
    target: int = 0
    auxiliaries: tuple[int, ...] = ()
    name: str = ""
    learning_rate: float | None = None

    @property
    def label(self) -> str:
        """Name in figures and tables."""
        return self.name or self.method.name


@dataclass(frozen=True)
class Settings:
    """What all members of a stack share; :class:`hepdann.config.TrainConfig` describes each."""

    epochs: int
    batch_size: int
    steps: int
    learning_rate: float = 2e-3
    schedule: RateSchedule = _COSINE
    lambda_schedule: LambdaSchedule = _GANIN
    domain_weight: float = 1.0
    nuisance_weight: float = 1.0
    adversary_steps: int = 1
    clip: float = 10.0
    ema: float = 0.995
    optimiser: str = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.9
    head_rate: float = 1.0
    patience: int = 0
    choose: str = "last"
    monitor: str = "validation_loss"
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    engine: str = "auto"
    deterministic: bool = False
    threads: int = 1
    processes: Processes = ALONE

    @property
    def events(self) -> int:
        """Source events that a network trains on, each as often as it does."""
        return self.epochs * self.steps * self.batch_size

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps

    @property
    def criterion(self) -> str:
        """Name of what chooses the epoch, as ``metrics.json`` has it."""
        return "last-epoch" if self.choose == "last" else self.monitor.replace("_", "-")


@dataclass(frozen=True)
class MethodProgress:
    """Where the networks of a method stand; figures are means over them since the epoch began."""

    name: str
    networks: int
    lambda_: float
    label_loss: float
    domain_loss: float
    domain_accuracy: float


@dataclass(frozen=True)
class Progress:
    """Where a stack stands; figures are means over members since the epoch began."""

    epoch: int
    step: int
    total: int
    label_loss: float
    domain_loss: float
    domain_accuracy: float
    events_per_second: float
    methods: tuple[MethodProgress, ...] = ()


def method_progress(
    names: Sequence[str], figures: Tensor, lambda_: Tensor
) -> tuple[MethodProgress, ...]:
    """Means over the networks of each method, of (K,) names.

    ``figures`` are (3, K) label loss, domain loss and domain accuracy, ``lambda_`` (K,) λ·λ_p.
    """
    groups: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        groups.setdefault(name, []).append(k)
    return tuple(
        MethodProgress(
            name,
            len(members),
            float(lambda_[members].mean()),
            *figures[:, members].mean(1).tolist(),
        )
        for name, members in groups.items()
    )


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use so many threads within the block; one is best for small networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Have torch refuse algorithms that are not deterministic, and leave it as it was.

    On the CPU, training is deterministic anyway: members draw from generators of their own, and
    small networks train on one thread.
    """
    if not wanted:
        yield
        return
    before, workspace = torch.are_deterministic_algorithms_enabled(), os.environ.get(_WORKSPACE)
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        if workspace is None:
            os.environ.pop(_WORKSPACE, None)


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
        waits = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}  # a CPU needs none
        self._wait: Callable[[], None] | None = waits.get(torch.device(device).type)

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

        ``stages`` are seconds that others spent meanwhile; none are stage ``step``.
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
