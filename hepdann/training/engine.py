"""How a step is executed, apart from what it computes.

Network and method say what a step computes. An engine carries it out on a :class:`Stack`: it moves
parameters, moments and averages in place. :class:`TorchEngine` defines the numbers;
:class:`FusedEngine`, a DANN's step in compiled code (``step.c``), agrees with it within rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..compiled import aligned, function
from ..errors import ConfigError
from ..methods import AdversaryWeight, Batch, Phase
from ..networks import NetworkShape, StackedBatchNorm, StackedLinear
from ..networks.statistics import TILE, packed_size, whole_lines
from .optimisers import StackOptimiser
from .schedules import StepValues
from .settings import Settings
from .stack import Stack


class TorchEngine:
    """Runs the steps of a stack through torch's autograd, on any device."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def step(self, batch: Batch, at: StepValues) -> Mapping[str, Tensor]:
        """Train one step, phase after phase: objective, gradients, clipping, update, averages.

        Returns:
            (K,) figures of the batch: label_loss, domain_loss, domain_accuracy, nuisance_loss, as
            far as the method computes them. The next step may overwrite them.
        """
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


_OUTPUTS = 2  # column of the layers
_DONE = 11  # of the sizes


class FusedEngine:
    """Runs steps in compiled loops on the very buffers of the stack.

    Parameters, gradients, moments and averages stay where torch has them, so that checkpoints and
    everything that looks at a stack find them there, and the engines can take turns. Each member
    is computed by itself: its numbers do not depend on its neighbours, to the bit.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._phases = [
            _CompiledPhase(stack, number, phase, optimiser)
            for number, (phase, optimiser) in enumerate(
                zip(stack.phases, stack.optimisers, strict=True)
            )
        ]

    def step(self, batch: Batch, at: StepValues) -> Mapping[str, Tensor]:
        """Train one step, phase after phase; the figures are those of :class:`TorchEngine`."""
        x, weight = batch.x.contiguous(), batch.weight.contiguous()
        label, lambda_ = batch.label.long().contiguous(), at.lambda_.to(x.dtype).contiguous()
        given = [tensor.data_ptr() for tensor in (x, label, weight, lambda_)]
        figures = dict[str, Tensor]()
        for phase in self._phases:
            figures |= phase.step(batch, given, at)
        return figures


class _CompiledPhase:
    """The compiled update of a phase, on the buffers of the stack and of its optimiser."""

    def __init__(self, stack: Stack, number: int, phase: Phase, optimiser: StackOptimiser) -> None:
        self.stack, self.phase = stack, phase
        self.later = {name for other in stack.phases[number + 1 :] for name in other.parts}
        moments = dict(zip(phase.parts, optimiser.moments(), strict=True))
        self.counts = [entry["step"] for entry in moments.values()]
        parts, none = stack.parts, torch.empty(0)
        remembered = [moments.get(name, {}) for name in parts]
        self._buffers = [  # of each part; torch moves none of them
            *[part.value for part in parts.values()], *[part.gradient for part in parts.values()],
            *[entry.get("exp_avg", none) for entry in remembered],
            *[entry.get("exp_avg_sq", none) for entry in remembered],
            *[part.average for part in parts.values()],
        ]  # fmt: skip
        self._tables: _Tables | None = None

    def step(self, batch: Batch, given: Sequence[int], at: StepValues) -> Mapping[str, Tensor]:
        """Update its parts; ``given`` are addresses of inputs, labels, weights and λ."""
        tables = self._tables = self._tables or _Tables(self.stack, self.phase, batch, self.later)
        torch._foreach_add_(self.counts, 1)
        tables.sizes[_DONE] = int(self.counts[0])
        tables.addresses[:] = [buffer.data_ptr() for buffer in self._buffers]
        tables.rates[:] = at.rates
        tables.settings[:] = at.domain_weight, at.clip, at.average_decay
        tables.compute(*tables.before, *given, *tables.behind)
        return tables.figures


def _bits(flags: Sequence[bool]) -> int:
    """An integer whose bit n is flag n."""
    return sum(1 << bit for bit, flag in enumerate(flags) if flag)


def _start(stack: Stack, part: str, tensor: Tensor | None) -> int:
    """Where a parameter tensor begins in the buffer of its part; -1 for none."""
    if tensor is None:
        return -1
    value = stack.parts[part].value
    return (tensor.data_ptr() - value.data_ptr()) // value.element_size()


class _Tables:
    """What the compiled step is told of networks and batches, and the memory that it works in.

    Columns and sizes are those of ``step.c``.
    """

    def __init__(self, stack: Stack, phase: Phase, batch: Batch, later: Container[str]) -> None:
        network, shape, losses = stack.network, stack.network.shape, phase.losses
        assert losses is not None
        chains = {
            name: [m for m in network.get_submodule(name).modules() if isinstance(m, StackedLinear)]
            for name in network.parts
        }
        norms = [m for m in network.extractor.modules() if isinstance(m, StackedBatchNorm)]
        dtype = batch.x.numpy().dtype
        wide = partial(whole_lines, dtype=dtype)
        layers, top, features, columns, packed = [], wide(shape.inputs), 0, 0, 0
        for number, (name, chain) in enumerate(chains.items()):  # top: the first free column
            below = features  # where the input's columns begin
            for index, layer in enumerate(chain):
                norm = norms[index] if norms and not number else None
                tensors = [layer.weight, layer.bias]
                tensors += [getattr(norm, n, None) for n in ("weight", "bias")]
                _, outputs, inputs = layer.weight.shape
                out = top if norm is None else top + wide(outputs)
                starts = [_start(stack, name, tensor) for tensor in tensors]
                layers.append((number, inputs, outputs, *starts, below, top, out))
                below, top = out, out + wide(outputs)
                packed += packed_size(inputs, outputs, dtype)
            if number == 0:
                features, columns = below, top
        ends = list(itertools.accumulate(len(chain) for chain in chains.values()))[:2]
        self.layers = np.array(layers, np.int64)
        per_domain = shape.normalisation == "domain"
        apart = shape.normalisation != "shared"  # no event's features depend on the target's
        with_target = losses.domain or (losses.target_seen and not apart)
        blocks = [
            (domain, first, min(TILE, batch.size - first), domain if per_domain else 0)
            for domain in range(batch.domains if with_target else batch.domains - 1)
            for first in range(0, batch.size, TILE)
        ]
        self.blocks = np.array(blocks, np.int64)
        tensors_of = [
            (number, _start(stack, name, tensor), tensor[0].numel())
            for number, name in enumerate(stack.parts)
            for tensor in network.part(name)
        ]
        self.tensors = np.array(tensors_of, np.int64)
        flags = (losses.label, losses.domain, losses.lambda_on_loss, losses.target_detached)
        moved = [name in phase.parts for name in stack.parts]
        averaged = [name in phase.parts and name not in later for name in stack.parts]
        widest, at_once = wide(int(self.layers[:, _OUTPUTS].max())), len(blocks) if norms else 1
        factors = 3 * len(layers) * batch.domains * widest + at_once * TILE + wide(batch.domains)
        self.sizes = np.array(
            [len(batch.x), shape.inputs, batch.domains, batch.size, len(layers), len(blocks),
             len(tensors_of), widest, columns, bool(norms), per_domain, 0, *ends,
             *map(_bits, (flags, moved, averaged)), factors], np.int64,
        )  # fmt: skip
        activations = ((at_once - 1) * columns + top) * TILE
        memory = [aligned(n, dtype) for n in (activations, activations, factors + packed)]
        figures = np.empty((3, len(batch.x)), dtype)
        self.addresses = np.empty(15, np.uintp)
        self.rates, self.settings = np.empty(len(batch.x)), np.empty(3)
        tables = (self.sizes, self.layers, self.blocks, self.tensors, self.addresses)
        self._kept = (*tables, *memory, figures)  # by whom the addresses below are owned
        self.before = [array.ctypes.data for array in tables]
        self.behind = [a.ctypes.data for a in (self.rates, self.settings, *memory, figures)]
        names = ("label_loss", "domain_loss", "domain_accuracy")
        known = (losses.label, losses.domain, losses.domain)
        self.figures = {
            name: values
            for name, values, computed in zip(names, torch.from_numpy(figures), known, strict=True)
            if computed
        }
        # addresses: NumPy's own conversion of fifteen arrays takes a fifth of a step
        compute = function(f"step_f{dtype.itemsize}", *[int] * 15)
        assert compute is not None
        self.compute = compute


Engine = TorchEngine | FusedEngine


def engine_for(stack: Stack, settings: Settings) -> Engine:
    """The engine that a training uses, see :func:`choose_engine`."""
    name, _ = choose_engine(stack, settings)
    return FusedEngine(stack) if name == "fused" else TorchEngine(stack)


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
    return " and no ".join(reason for reason, applies in reasons.items() if applies)
