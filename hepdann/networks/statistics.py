"""Statistics of batch normalisation by compiled code, ``step.c``, and the sizes that it wants."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..compiled import aligned, function
from .layers import StackedBatchNorm, StackedLinear

TILE = 128  # events of a block
_LINE = 64  # bytes of a line of the cache


def whole_lines(n: int, dtype: Any) -> int:
    """``n`` numbers, up to a whole line of the cache."""
    line: int = _LINE // np.dtype(dtype).itemsize
    return -(-n // line) * line


def packed_size(inputs: int, outputs: int, dtype: Any) -> int:
    """Numbers of the copy of a layer's weights and gradients that compiled code works on."""
    deep, wide = whole_lines(inputs, dtype), whole_lines(outputs, dtype)
    return (inputs + 6) * wide + 2 * outputs * deep


def compiled_statistics(
    linear: Sequence[nn.Module], norms: Sequence[nn.Module], x: Tensor, weight: Tensor | None
) -> list[tuple[Tensor, Tensor]] | None:
    """Mean and variance (K, features) of what each layer of an extractor normalises.

    Each of the layers is followed by its normalisation and a ReLU. The events (K, F, n) are
    normalised together, by the sizes (K, n) of their weights; by default all are alike.

    Returns:
        ``None`` where there is no compiled code for these tensors.
    """
    dtype = x.numpy().dtype if x.device.type == "cpu" and x.dtype.itemsize > 2 else None
    compute = dtype and function(f"statistics_f{dtype.itemsize}", *[int] * 9)
    if dtype is None or compute is None:
        return None
    wide, table = partial(whole_lines, dtype=dtype), list[tuple[int, ...]]()
    tensors = [
        (layer.weight, norm.weight, norm.bias)
        for layer, norm in zip(linear, norms, strict=True)
        if isinstance(layer, StackedLinear) and isinstance(norm, StackedBatchNorm)
    ]
    begin = min(tensor.data_ptr() for of_layer in tensors for tensor in of_layer)
    below, packed, widest = 0, 0, 0
    for of_layer in tensors:
        _, outputs, inputs = of_layer[0].shape
        weights, *affine = ((tensor.data_ptr() - begin) // dtype.itemsize for tensor in of_layer)
        out = below + wide(inputs)  # activations take the place of what was normalised
        table.append((0, inputs, outputs, weights, -1, *affine, below, out, out))
        packed += packed_size(inputs, outputs, dtype)
        below, widest = out, max(widest, wide(outputs))
    members, features, n = x.shape
    blocks = np.array([(0, at, min(TILE, n - at), 0) for at in range(0, n, TILE)], np.int64)
    columns, count = below + wide(table[-1][2]), len(table)
    factors = 3 * count * widest + len(blocks) * TILE + wide(1)
    sizes = np.array(
        [members, features, 1, n, count, len(blocks), 0, widest, columns, 1, 1, 0, count, count,
         0, 0, 0, factors], np.int64,
    )  # fmt: skip
    x, weight = x.contiguous(), torch.ones(members, n) if weight is None else weight
    weight = weight.to(x.dtype).contiguous()
    memory = [aligned(s, dtype) for s in (columns * TILE * len(blocks), factors + packed)]
    out_array, layers = np.empty((members, count, 2, widest), dtype), np.array(table, np.int64)
    arrays = (sizes, layers, blocks)
    compute(
        *(array.ctypes.data for array in arrays), begin, x.data_ptr(),
        weight.data_ptr(), *(array.ctypes.data for array in (*memory, out_array)),
    )  # fmt: skip
    values = torch.from_numpy(out_array)
    return [
        (values[:, at, 0, :outputs], values[:, at, 1, :outputs])
        for at, (_, _, outputs, *_) in enumerate(table)
    ]
