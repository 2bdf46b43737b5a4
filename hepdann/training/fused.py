"""The engine that runs a DANN's step in compiled code, ``step.c``, without autograd."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..compiled import aligned, function
from ..methods import Batch
from ..networks import StackedBatchNorm, StackedLinear
from .schedules import StepValues
from .stack import Stack

_TILE = 256  # events of a block
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
        parts = list(stack.parts.values())
        moments = stack.optimisers[0].moments()
        self.counts = [entry["step"] for entry in moments]
        self._buffers = [  # of each part; torch moves none of them
            *[part.value for part in parts], *[part.gradient for part in parts],
            *[entry["exp_avg"] for entry in moments], *[entry["exp_avg_sq"] for entry in moments],
            *[part.average for part in parts],
        ]  # fmt: skip
        self._tables: _Tables | None = None

    def step(self, batch: Batch, at: StepValues) -> Mapping[str, Tensor]:
        """Train one step."""
        tables = self._tables = self._tables or _Tables(self.stack, batch)
        torch._foreach_add_(self.counts, 1)
        tables.sizes[_DONE] = int(self.counts[0])
        tables.addresses[:] = [buffer.data_ptr() for buffer in self._buffers]
        tables.rates[:] = at.rates
        tables.settings[:] = at.domain_weight, at.clip, at.average_decay
        x, weight = batch.x.contiguous(), batch.weight.contiguous()
        label, lambda_ = batch.label.long().contiguous(), at.lambda_.to(x.dtype).contiguous()
        given = (x, label, weight, lambda_)
        tables.compute(*tables.before, *[tensor.data_ptr() for tensor in given], *tables.behind)
        return tables.figures

    def flush(self) -> None:
        """The stack holds everything already."""


def _start(stack: Stack, part: str, tensor: Tensor | None) -> int:
    """Where a parameter tensor begins in the buffer of its part; -1 for none."""
    if tensor is None:
        return -1
    value = stack.parts[part].value
    return (tensor.data_ptr() - value.data_ptr()) // value.element_size()


def compiled_step(bytes_of_a_number: int) -> Callable[..., None] | None:
    """The step in a precision, given addresses, or ``None`` where it was not compiled.

    NumPy's own conversion of fifteen arrays takes a fifth of a step.
    """
    return function(f"step_f{bytes_of_a_number}", *[int] * 15)


class _Tables:
    """What the compiled step is told of networks and batches, and the memory that it works in.

    Columns and sizes are those of ``step.c``.
    """

    def __init__(self, stack: Stack, batch: Batch) -> None:
        network, shape = stack.network, stack.network.shape
        chains = {
            name: [m for m in network.get_submodule(name).modules() if isinstance(m, StackedLinear)]
            for name in network.parts
        }
        norms = [m for m in network.extractor.modules() if isinstance(m, StackedBatchNorm)]
        layers, top, features, own = [], shape.inputs, 0, 0  # top: the first row that is free
        for number, (name, chain) in enumerate(chains.items()):
            below = features  # where the input's rows begin
            for index, layer in enumerate(chain):
                norm = norms[index] if norms and not number else None
                tensors = [layer.weight, layer.bias]
                tensors += [getattr(norm, n, None) for n in ("weight", "bias")]
                _, outputs, inputs = layer.weight.shape
                out = top if norm is None else top + outputs
                starts = [_start(stack, name, tensor) for tensor in tensors]
                layers.append((number, inputs, outputs, *starts, below, top, out))
                below, top = out, out + outputs
            if number == 0:
                features, own = below, top
        ends = list(itertools.accumulate(len(chain) for chain in chains.values()))[:2]
        self.layers = np.array(layers, np.int64)
        per_domain = shape.normalisation == "domain"
        blocks = [
            (domain, first, min(_TILE, batch.size - first), domain if per_domain else 0)
            for domain in range(batch.domains)
            for first in range(0, batch.size, _TILE)
        ]
        self.blocks = np.array(blocks, np.int64)
        tensors_of = [
            (number, _start(stack, name, tensor), tensor[0].numel())
            for number, name in enumerate(stack.parts)
            for tensor in network.part(name)
        ]
        self.tensors = np.array(tensors_of, np.int64)
        widest, together = int(self.layers[:, _OUTPUTS].max()), len(blocks) if norms else 1
        self.sizes = np.array(
            [len(batch.x), shape.inputs, batch.domains, batch.size, len(layers), len(blocks),
             len(tensors_of), widest, own, bool(norms), per_domain, 0, *ends], np.int64,
        )  # fmt: skip
        rows, dtype = (together - 1) * own + top, batch.x.numpy().dtype
        factors = len(layers) * batch.domains * widest  # and weights of events, and their sums
        sizes = (rows * _TILE, rows * _TILE, factors + together * _TILE + batch.domains)
        memory = [aligned(size, dtype) for size in sizes]
        figures = np.empty((3, len(batch.x)), dtype)
        self.addresses = np.empty(15, np.uintp)
        self.rates, self.settings = np.empty(len(batch.x)), np.empty(3)
        tables = (self.sizes, self.layers, self.blocks, self.tensors, self.addresses)
        self._kept = (*tables, *memory, figures)  # by whom the addresses below are owned
        self.before = [array.ctypes.data for array in tables]
        self.behind = [a.ctypes.data for a in (self.rates, self.settings, *memory, figures)]
        names = ("label_loss", "domain_loss", "domain_accuracy")
        self.figures = dict(zip(names, torch.from_numpy(figures), strict=True))
        compute = compiled_step(dtype.itemsize)
        assert compute is not None
        self.compute = compute
