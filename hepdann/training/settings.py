"""What a training is told: its members, its settings; and what it tells of its progress."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..methods import Method

__all__ = ["Member", "Progress", "Settings"]


@dataclass(frozen=True)
class Member:
    """One of the K networks of a stack.

    Attributes:
        method: how it uses the target.
        strength: λ.
        seed: of its weights and its batches.
        source: index into the stack's sources; the oracle has one of its own.
        target: index into the stack's targets.
        auxiliaries: indices into the stack's sources of further labelled domains, as a rule copies
            of the source under other shifts; members of one stack have equally many.
        name: of the method in figures and tables, where that differs ("oracle").
    """

    method: Method
    strength: float
    seed: int
    source: int = 0
    target: int = 0
    auxiliaries: tuple[int, ...] = ()
    name: str = ""

    @property
    def label(self) -> str:
        """Name in figures and tables."""
        return self.name or self.method.name


@dataclass(frozen=True)
class Settings:
    """What all members of a stack share.

    Attributes:
        batch_size: events of each domain a step.
        steps: steps an epoch.
        engine: what executes a step, see :func:`hepdann.training.engine.engine_for`.
        threads: torch's threads while training; one is best for small networks.
    """

    epochs: int
    batch_size: int
    steps: int
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    lambda_schedule: str = "ganin"
    domain_weight: float = 1.0
    clip: float = 10.0
    ema: float = 0.995
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    engine: str = "auto"
    threads: int = 1


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
