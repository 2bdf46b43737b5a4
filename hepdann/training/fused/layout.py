"""What the compiled functions are told of a network, and the memory that they work in."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from .loops import Real

__all__ = ["Buffers", "Shape", "State", "Table", "Work"]

# Columns of ``Shape.layers``. WEIGHT, BIAS, SCALE and SHIFT are where the tensor of all members
# starts in the part's buffer, -1 where there is none (SCALE and SHIFT: batch normalisation). IN,
# NORMAL and OUT are the first rows, in a block, of the input, of the activations before what
# normalises them (afterwards the normalised ones) and of the output; without normalisation the last
# two are the same.
PART, INPUTS, OUTPUTS, WEIGHT, BIAS, SCALE, SHIFT, IN, NORMAL, OUT = range(10)
DOMAIN, FIRST, COUNT, GROUP = range(4)  # columns of ``Shape.blocks``
START, SIZE = 1, 2  # columns of ``State.tensors``, after PART
TARGET, SPARE, SCALED = 4, 5, 6  # rows of ``Work.rows``; the first four are those of ``logistic``

Buffers = tuple[Real, Real, Real]  # of the extractor, the label head and the domain head
Table = NDArray[Any]  # int64


class Shape(NamedTuple):
    """What is computed, and on how many blocks at a time.

    Attributes:
        layers: (layers, 10) extractor, label head, domain head.
        blocks: (blocks, 4) of a batch: domain, first event in it, events, and which of them share
            their statistics in a batch normalisation.
        heads: (2,) index of the first layer of the label head and of the domain head.
        normalised: whether the extractor has batch normalisation. If it has, a whole batch goes
            through one layer after the other; if not, one block through all of them.
        per_domain: whether its statistics are those of each domain.
    """

    layers: Table
    blocks: Table
    heads: Table
    normalised: bool
    per_domain: bool


class State(NamedTuple):
    """What a step changes, each a buffer for each part of the network.

    Attributes:
        tensors: (tensors, 3) part, start and size (of one member) of each parameter tensor.
        values: parameters.
        gradients: of the last step.
        firsts: Adam's first moments.
        seconds: Adam's second moments.
        averages: averaged parameters.
    """

    tensors: Table
    values: Buffers
    gradients: Buffers
    firsts: Buffers
    seconds: Buffers
    averages: Buffers


class Work(NamedTuple):
    """Memory of a step, and constants of its precision.

    Attributes:
        blocks: (blocks, rows, TILE) activations.
        slopes: likewise, the gradient of the loss at each.
        inverse: (layers, D, widest) 1 / σ of the batch normalisation.
        rows: (7, TILE) to work in.
        bits: (TILE,) the fourth of these rows as integers of the same size.
        exp: coefficients of :func:`hepdann.training.loops.series`.
        artanh: likewise.
    """

    blocks: Real
    slopes: Real
    inverse: Real
    rows: Real
    bits: NDArray[Any]
    exp: Real
    artanh: Real
