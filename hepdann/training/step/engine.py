"""How a step is executed, apart from what it computes.

Network and method say what a step computes. An engine carries it out on a :class:`Stack`: it moves
parameters, moments and averages in place. :class:`TorchEngine` defines the numbers; another engine
(a compiled kernel) agrees with it within rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ...compiled import function
from ...errors import ConfigError
from ...methods import AdversaryWeight, Batch, Phase
from ...networks import NetworkShape
from ..settings import Settings
from .optimisers import StackOptimiser
from .stack import Stack


@dataclass(frozen=True)
class StepValues:
    """Everything that a step takes from the schedules and settings."""

    step: int
    rates: tuple[float, ...]
    lambda_: Tensor
    domain_weight: float
    clip: float
    average_decay: float
    nuisance_weight: float = 1.0
    adversary_steps: int = 1


class Engine(Protocol):
    """Executes the steps of one stack."""

    def step(self, batch: Batch, at: StepValues) -> Mapping[str, Tensor]:
        """Train one step.

        Returns:
            (K,) figures of the batch: label_loss, domain_loss, domain_accuracy, nuisance_loss, as
            far as the method computes them. The next step may overwrite them.
        """
        ...

    def flush(self) -> None:
        """Leave the state of the stack in the stack, where an engine keeps it elsewhere.

        Called before anybody else looks: at the end of an epoch and before a checkpoint.
        """
        ...


class TorchEngine:
    """Runs a step through torch's autograd, on any device."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def step(self, batch: Batch, at: StepValues) -> Mapping[str, Tensor]:
        """Train one step, phase after phase: objective, gradients, clipping, update, averages."""
        stack = self.stack
        stack.set_step(at.step)
        adversary = AdversaryWeight(at.lambda_, at.domain_weight, at.nuisance_weight)
        figures, turn = dict[str, Tensor](), (at.step + 1) % at.adversary_steps == 0
        for phase, optimiser in zip(stack.phases, stack.optimisers, strict=True):
            if phase.rare and not turn:
                continue
            figures |= self._phase(phase, optimiser, batch, adversary, at)
        for part in stack.parts.values():
            part.update_average(1 - at.average_decay)
        stack.clock.lap("optimiser")
        return figures

    def _phase(
        self,
        phase: Phase,
        optimiser: StackOptimiser,
        batch: Batch,
        adversary: AdversaryWeight,
        at: StepValues,
    ) -> Mapping[str, Tensor]:
        """One update of a step, and its figures of the batch."""
        stack, lap = self.stack, self.stack.clock.lap
        processes, moved = stack.settings.processes, [stack.parts[name] for name in phase.parts]
        for part in stack.parts.values():
            part.gradient.zero_()
        objective = phase.objective(stack.network, batch, adversary)
        lap("forward")
        values = objective.value
        if stack.loss_scale is not None:
            values = stack.loss_scale.losses(values)
        values.sum().backward()  # type: ignore[no-untyped-call]
        lap("backward")
        processes.average([part.gradient for part in moved])
        if stack.loss_scale is not None:
            stack.loss_scale.unscale(moved)
        for part in moved:
            part.clip(at.clip)
        optimiser.step(at.rates)
        processes.average(list(objective.figures.values()))
        lap("optimiser")
        return objective.figures

    def flush(self) -> None:
        """The stack holds everything already."""


def engine_for(stack: Stack, settings: Settings) -> Engine:
    """The engine that a training uses, see :func:`choose_engine`."""
    name, _ = choose_engine(stack, settings)
    if name == "fused":
        from ..fused import FusedEngine

        return FusedEngine(stack)
    return TorchEngine(stack)


def choose_engine(stack: Stack, settings: Settings) -> tuple[str, str]:
    """Which engine trains a stack.

    ``auto`` is ``fused`` wherever it can run the stack, and else ``torch``; the two agree within
    rounding.

    Returns:
        The name of the engine, and why it is torch where the other was asked for.

    Raises:
        ConfigError: no engine of that name, or it was not compiled.
    """
    if settings.engine not in ("auto", "torch", "fused"):
        raise ConfigError(
            f"unknown engine {settings.engine!r}",
            where="train.engine",
            mend="known are auto, torch, fused",
        )
    if settings.engine == "torch":
        return "torch", ""
    if not function("step_f4"):
        if settings.engine == "auto":
            return "torch", ""
        raise ConfigError(
            "the fused engine was not compiled when hepdann was installed",
            where="train.engine",
            mend="install a C compiler, then hepdann anew, or take the torch engine",
        )
    reason = unfusable(stack.network.shape, stack.phases, settings)
    if not reason:
        return "fused", ""
    return "torch", f"the fused engine has no {reason}" if settings.engine == "fused" else ""


def unfusable(shape: NetworkShape, phases: Sequence[Phase], settings: Settings) -> str:
    """Why the fused engine cannot run the steps of a stack; empty if it can.

    Returns:
        What there would have to be for it, in words that follow "no".
    """
    plain = settings.optimiser == "adam" and settings.weight_decay == 0
    reasons = {
        "objective but sums of L_y and L_d": any(phase.losses is None for phase in phases),
        f"activation {shape.activation}": shape.activation != "relu",
        "dropout": shape.dropout > 0,
        "network of the user's own": bool(shape.network),
        "residual layers": shape.residual,
        "layer normalisation": shape.normalisation == "layer",
        "condition of the domain head": shape.conditioned,
        "class for each domain": shape.domain_classes > 2,
        "regression": shape.classes < 2,
        "other device than the CPU": settings.device != "cpu",
        "optimiser but adam without weight decay": not plain,
        "rate of the heads' own": settings.head_rate != 1,
        "other processes to train with": settings.processes.count > 1,
    }
    return " and no ".join(reason for reason, found in reasons.items() if found)
