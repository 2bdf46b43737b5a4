"""One layer of a network on its blocks: linear, batch normalisation, ReLU, forward and back."""

from __future__ import annotations

import math

from .layout import (
    BIAS,
    COUNT,
    GROUP,
    IN,
    INPUTS,
    NORMAL,
    OUT,
    OUTPUTS,
    PART,
    SCALE,
    SHIFT,
    WEIGHT,
    Buffers,
    Table,
)
from .loops import Real, compiled, fill, multiply_add, outer_add, rectify

__all__ = ["backward", "forward", "normalise", "normalise_slope"]

EPSILON = 1e-5  # of the batch normalisation, as in StackedBatchNorm


@compiled
def _vector(buffers: Buffers, part: int, start: int, k: int, size: int) -> Real:
    """Member ``k``'s part of a tensor; empty where there is no such tensor."""
    if start < 0:
        return buffers[part][:0]
    return buffers[part][start + k * size : start + (k + 1) * size]


@compiled
def forward(
    layer: Table, k: int, values: Buffers, block: Real, spare: Real, n: int, relu: bool
) -> None:
    """One linear layer of a block, without what normalises it; with ReLU, if it is hidden."""
    inputs, outputs = layer[INPUTS], layer[OUTPUTS]
    flat = _vector(values, layer[PART], layer[WEIGHT], k, inputs * outputs)
    bias = _vector(values, layer[PART], layer[BIAS], k, outputs)
    y = block[layer[NORMAL] : layer[NORMAL] + outputs]
    for o in range(outputs):
        fill(y[o], bias[o] if len(bias) else 0.0, n)
    x = block[layer[IN] : layer[IN] + inputs]
    multiply_add(flat, (inputs, 1), 1.0, x, y, spare, n)
    if relu:
        rectify(y, n)


@compiled
def backward(
    layer: Table,
    k: int,
    values: Buffers,
    slopes_of: Buffers,
    block: Real,
    slope: Real,
    spare: Real,
    n: int,
    factor: float,
) -> None:
    """Gradients of one linear layer from a block, and the slope at its input.

    Args:
        layer: a row of ``Shape.layers``.
        k: member.
        values: parameters.
        slopes_of: the gradients of the parameters, added to.
        block: (rows, TILE) activations.
        slope: (rows, TILE) the gradient of the loss at each; the rows of the input are added to.
        spare: (TILE,) a row to waste.
        n: events of the block.
        factor: on what is added to them; at 0 they are left alone.
    """
    inputs, outputs = layer[INPUTS], layer[OUTPUTS]
    weight_slope = _vector(slopes_of, layer[PART], layer[WEIGHT], k, inputs * outputs)
    bias_slope = _vector(slopes_of, layer[PART], layer[BIAS], k, outputs)
    x = block[layer[IN] : layer[IN] + inputs]
    delta = slope[layer[NORMAL] : layer[NORMAL] + outputs]
    outer_add(delta, x, weight_slope, bias_slope, n)
    if factor == 0:
        return
    flat = _vector(values, layer[PART], layer[WEIGHT], k, inputs * outputs)
    below = slope[layer[IN] : layer[IN] + inputs]
    multiply_add(flat, (1, inputs), factor, delta, below, spare, n)


@compiled
def normalise(
    layer: Table,
    k: int,
    values: Buffers,
    blocks: Real,
    table: Table,
    groups: int,
    inverse: Real,
) -> None:
    """Batch normalisation and ReLU: rows ``NORMAL`` become (x - mean) / σ, ``OUT`` the output.

    Args:
        layer: a row of ``Shape.layers``.
        k: member.
        values: parameters.
        blocks: (blocks, rows, TILE) of the whole batch.
        table: (blocks, 4) of ``Shape.blocks``.
        groups: sets of blocks that share their statistics.
        inverse: (groups, ≥ out) receives 1 / σ.
    """
    real = blocks.dtype.type
    scale = _vector(values, layer[PART], layer[SCALE], k, layer[OUTPUTS])
    shift = _vector(values, layer[PART], layer[SHIFT], k, layer[OUTPUTS])
    for o in range(layer[OUTPUTS]):
        for group in range(groups):
            total, events = 0.0, 0
            for b in range(len(table)):
                if table[b, GROUP] == group:
                    row, part = blocks[b, layer[NORMAL] + o], real(0)
                    for t in range(table[b, COUNT]):
                        part += row[t]
                    total, events = total + part, events + table[b, COUNT]
            mean, square = real(total / events), 0.0
            for b in range(len(table)):
                if table[b, GROUP] == group:
                    row, part = blocks[b, layer[NORMAL] + o], real(0)
                    for t in range(table[b, COUNT]):
                        row[t] -= mean
                        part += row[t] * row[t]
                    square += part
            inverse[group, o] = 1 / math.sqrt(square / events + EPSILON)
        for b in range(len(table)):
            row, out = blocks[b, layer[NORMAL] + o], blocks[b, layer[OUT] + o]
            factor = inverse[table[b, GROUP], o]
            for t in range(table[b, COUNT]):
                row[t] *= factor
                y = row[t] * scale[o] + shift[o]
                out[t] = real(0) if y <= real(0) else y


@compiled
def normalise_slope(
    layer: Table,
    k: int,
    values: Buffers,
    slopes_of: Buffers,
    blocks: Real,
    slopes: Real,
    table: Table,
    groups: int,
    inverse: Real,
) -> None:
    """The slopes at the rows ``NORMAL`` from those at ``OUT``, and the gradients of γ and β.

    Ioffe & Szegedy, "Batch Normalization" (2015), the chain rule of section 3.
    """
    real = blocks.dtype.type
    scale = _vector(values, layer[PART], layer[SCALE], k, layer[OUTPUTS])
    scale_slope = _vector(slopes_of, layer[PART], layer[SCALE], k, layer[OUTPUTS])
    shift_slope = _vector(slopes_of, layer[PART], layer[SHIFT], k, layer[OUTPUTS])
    for o in range(layer[OUTPUTS]):
        for group in range(groups):
            total, along, events = 0.0, 0.0, 0
            for b in range(len(table)):
                if table[b, GROUP] == group:
                    row, delta = blocks[b, layer[NORMAL] + o], slopes[b, layer[OUT] + o]
                    part, product = real(0), real(0)
                    for t in range(table[b, COUNT]):
                        part += delta[t]
                        product += delta[t] * row[t]
                    total, along = total + part, along + product
                    events += table[b, COUNT]
            scale_slope[o] += real(along)
            shift_slope[o] += real(total)
            mean, mean_along = real(total / events), real(along / events)
            factor = scale[o] * inverse[group, o]
            for b in range(len(table)):
                if table[b, GROUP] == group:
                    row, delta = blocks[b, layer[NORMAL] + o], slopes[b, layer[OUT] + o]
                    before = slopes[b, layer[NORMAL] + o]
                    for t in range(table[b, COUNT]):
                        before[t] = factor * (delta[t] - mean - row[t] * mean_along)
