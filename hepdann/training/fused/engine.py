"""The engine that runs a DANN's step in compiled loops, without autograd."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ...methods import Batch
from ...networks import StackedBatchNorm, StackedLinear
from ..step.engine import StepValues
from ..step.stack import Stack
from .layout import OUT, OUTPUTS, Buffers, Shape, State, Work
from .loops import TILE, Real, series
from .step import step

__all__ = ["FusedEngine"]


class FusedEngine:
    """Runs steps in compiled loops on the very buffers of the stack.

    Parameters, gradients, moments and averages stay where torch has them, so that checkpoints and
    everything that looks at a stack find them there, and the engines can take turns. Each member
    is computed by itself: its numbers do not depend on its neighbours, to the bit.

    Args:
        stack: that is trained; :func:`~hepdann.training.step.engine.unfusable` has nothing
            against it.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.shape: Shape | None = None
        self.work: Work | None = None
        parts = list(stack.parts.values())
        moments = stack.optimisers[0].moments()
        self.counts = [entry["step"] for entry in moments]
        self.state = State(
            _tensors(stack),
            _arrays([part.value for part in parts]),
            _arrays([part.gradient for part in parts]),
            _arrays([entry["exp_avg"] for entry in moments]),
            _arrays([entry["exp_avg_sq"] for entry in moments]),
            _arrays([part.average for part in parts]),
        )

    def step(self, batch: Batch, at: StepValues) -> Mapping[str, Tensor]:
        """Train one step."""
        x, weight = batch.x.numpy(), batch.weight.numpy()
        if self.shape is None or self.work is None:
            self.shape = _shape(self.stack, batch)
            self.work = _work(self.shape, batch)
        torch._foreach_add_(self.counts, 1)
        figures = np.empty((3, len(x)), x.dtype)
        step(
            self.shape,
            self.work,
            self.state,
            x,
            batch.label.numpy(),
            weight,
            at.lambda_.numpy(),
            np.array(at.rates),
            (at.domain_weight, at.clip, at.average_decay),
            int(self.counts[0]),
            figures,
        )
        names = ("label_loss", "domain_loss", "domain_accuracy")
        return dict(zip(names, torch.from_numpy(figures), strict=True))

    def flush(self) -> None:
        """The stack holds everything already."""


def _arrays(tensors: Sequence[Tensor]) -> Buffers:
    a, b, c = (tensor.detach().numpy() for tensor in tensors)
    return a, b, c


def _tensors(stack: Stack) -> Real:
    """Part, start and size of each parameter tensor."""
    rows = [
        (number, _start(stack, name, tensor), tensor[0].numel())
        for number, name in enumerate(stack.parts)
        for tensor in stack.network.part(name)
    ]
    return np.array(rows)


def _start(stack: Stack, part: str, tensor: Tensor | None) -> int:
    """Where a parameter tensor begins in the buffer of its part; -1 for none."""
    if tensor is None:
        return -1
    value = stack.parts[part].value
    return (tensor.data_ptr() - value.data_ptr()) // value.element_size()


def _shape(stack: Stack, batch: Batch) -> Shape:
    network, shape = stack.network, stack.network.shape
    chains = {
        name: [m for m in network.get_submodule(name).modules() if isinstance(m, StackedLinear)]
        for name in network.parts
    }
    norm_layers: list[nn.Module | None] = []
    norm_layers += [m for m in network.extractor.modules() if isinstance(m, StackedBatchNorm)]
    norms = norm_layers or [None] * len(chains["extractor"])
    layers, top, features = [], shape.inputs, 0  # top: first row of a block that is free
    for number, (name, chain) in enumerate(chains.items()):
        below = features  # where the input's rows begin
        for index, layer in enumerate(chain):
            norm = None if number else norms[index]
            tensors = (
                layer.weight,
                layer.bias,
                *(getattr(norm, n, None) for n in ("weight", "bias")),
            )
            _, outputs, inputs = layer.weight.shape
            out = top if norm is None else top + outputs
            starts = [_start(stack, name, tensor) for tensor in tensors]
            layers.append((number, inputs, outputs, *starts, below, top, out))
            below, top = out, out + outputs
        features = below if number == 0 else features
    ends = [*itertools.accumulate(len(chain) for chain in chains.values())]
    per_domain = shape.normalisation == "domain"
    blocks = [
        (domain, first, min(TILE, batch.size - first), domain if per_domain else 0)
        for domain in range(batch.domains)
        for first in range(0, batch.size, TILE)
    ]
    return Shape(
        np.array(layers),
        np.array(blocks),
        np.array(ends[:2]),
        shape.normalisation != "none",
        per_domain,
    )


def _work(shape: Shape, batch: Batch) -> Work:
    dtype: np.dtype[np.floating] = batch.x.numpy().dtype
    last, widest = shape.layers[-1], int(shape.layers[:, OUTPUTS].max())
    rows = int(last[OUT] + last[OUTPUTS])
    blocks = len(shape.blocks) if shape.normalised else 1
    free = np.zeros((7, TILE), dtype)
    return Work(
        np.zeros((blocks, rows, TILE), dtype),
        np.zeros((blocks, rows, TILE), dtype),
        np.zeros((len(shape.layers), batch.domains, widest), dtype),
        free,
        free[3].view(np.int32 if dtype == np.float32 else np.int64),
        *series(dtype),
    )
