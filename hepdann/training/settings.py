"""The members and settings of a training, and the progress that it reports."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ..methods import Method
from .distributed import ALONE, Processes
from .schedules import LambdaSchedule, RateSchedule

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
    schedule: str | RateSchedule = "cosine"
    lambda_schedule: str | LambdaSchedule = "ganin"
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
    """Means over the networks of each method.

    Args:
        names: (K,) method of each network.
        figures: (3, K) label loss, domain loss, domain accuracy.
        lambda_: (K,) λ·λ_p.
    """
    groups: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        groups.setdefault(name, []).append(k)
    return tuple(
        MethodProgress(
            name, len(own), float(lambda_[own].mean()), *figures[:, own].mean(1).tolist()
        )
        for name, own in groups.items()
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
