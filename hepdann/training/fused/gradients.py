"""The gradients of a DANN's loss, block by block: both heads, then the extractor."""

from __future__ import annotations

from .layers import backward, forward, normalise, normalise_slope
from .layout import (
    COUNT,
    DOMAIN,
    FIRST,
    IN,
    INPUTS,
    OUT,
    OUTPUTS,
    SCALED,
    SPARE,
    TARGET,
    Buffers,
    Shape,
    Table,
    Work,
)
from .loops import Real, compiled, cross_entropy, fill, logistic, rectify_slope

__all__ = ["gradients"]


@compiled
def _head_forward(
    first: int, end: int, shape: Shape, k: int, values: Buffers, block: Real, work: Work, n: int
) -> None:
    for index in range(first, end):
        hidden = index + 1 < end
        forward(shape.layers[index], k, values, block, work.rows[SPARE], n, hidden)


@compiled
def _head_backward(
    first: int,
    end: int,
    shape: Shape,
    k: int,
    values: Buffers,
    slopes_of: Buffers,
    block: Real,
    slope: Real,
    work: Work,
    n: int,
    factor: float,
) -> None:
    """From the slope at a head's output to its gradients and, times ``factor``, the features."""
    for index in range(end - 1, first - 1, -1):
        layer, spare = shape.layers[index], work.rows[SPARE]
        low, high = layer[IN], layer[IN] + layer[INPUTS]
        inner = index > first
        if inner:
            for row in range(low, high):
                fill(slope[row], 0.0, n)
        through = 1.0 if inner else factor
        backward(layer, k, values, slopes_of, block, slope, spare, n, through)
        if inner:
            rectify_slope(block[low:high], slope[low:high], n)


@compiled
def _label_side(
    shape: Shape,
    k: int,
    values: Buffers,
    slopes_of: Buffers,
    block: Real,
    slope: Real,
    work: Work,
    label: Table,
    weight: Real,
    share: float,
) -> float:
    """The label head of a labelled block, forward and back; the loss, ``share Σ w ℓ``."""
    first, end, n = shape.heads[0], shape.heads[1], len(label)
    _head_forward(first, end, shape, k, values, block, work, n)
    layer, real = shape.layers[end - 1], block.dtype.type
    row, outputs = layer[OUT], layer[OUTPUTS]
    target, scaled = work.rows[TARGET], work.rows[SCALED]
    for t in range(n):
        scaled[t] = weight[t] * real(share)
        target[t] = real(label[t])
    z, delta = block[row : row + outputs], slope[row : row + outputs]
    if outputs == 1:
        loss = logistic(
            z[0], target, scaled, delta[0], work.rows, work.bits, work.exp, work.artanh, n
        )
    else:
        loss = cross_entropy(z, label, scaled, delta, n)
    _head_backward(first, end, shape, k, values, slopes_of, block, slope, work, n, 1.0)
    return loss


@compiled
def _domain_side(
    shape: Shape,
    k: int,
    values: Buffers,
    slopes_of: Buffers,
    block: Real,
    slope: Real,
    work: Work,
    is_target: bool,
    weight: Real,
    share: float,
    domain_weight: float,
    lambda_: float,
) -> tuple[float, int]:
    """The domain head of a block, forward and back.

    Returns:
        The loss, ``share Σ w ℓ``, and how many events' domain is recognised.
    """
    first, end, n = shape.heads[1], len(shape.layers), len(weight)
    _head_forward(first, end, shape, k, values, block, work, n)
    row, real = shape.layers[end - 1, OUT], block.dtype.type
    target, scaled = work.rows[TARGET], work.rows[SCALED]
    hits = 0
    for t in range(n):
        scaled[t] = weight[t] * real(share)
        target[t] = real(is_target)
        hits += (block[row, t] > real(0)) == is_target
    loss = logistic(
        block[row], target, scaled, slope[row], work.rows, work.bits, work.exp, work.artanh, n
    )
    for t in range(n):
        slope[row, t] *= real(domain_weight)
    _head_backward(first, end, shape, k, values, slopes_of, block, slope, work, n, -lambda_)
    return loss, hits


@compiled
def _extractor_forward(
    shape: Shape, k: int, values: Buffers, work: Work, table: Table, groups: int
) -> None:
    for index in range(shape.heads[0]):
        layer, relu = shape.layers[index], not shape.normalised
        for b in range(len(table)):
            forward(layer, k, values, work.blocks[b], work.rows[SPARE], table[b, COUNT], relu)
        if shape.normalised:
            normalise(layer, k, values, work.blocks, table, groups, work.inverse[index])


@compiled
def _extractor_backward(
    shape: Shape,
    k: int,
    values: Buffers,
    slopes_of: Buffers,
    work: Work,
    table: Table,
    groups: int,
) -> None:
    for index in range(shape.heads[0] - 1, -1, -1):
        layer = shape.layers[index]
        low, high = layer[OUT], layer[OUT] + layer[OUTPUTS]
        for b in range(len(table)):
            rectify_slope(work.blocks[b, low:high], work.slopes[b, low:high], table[b, COUNT])
        if shape.normalised:
            normalise_slope(
                layer, k, values, slopes_of, work.blocks, work.slopes, table, groups,
                work.inverse[index],
            )  # fmt: skip
        for b in range(len(table)):
            slope, n = work.slopes[b], table[b, COUNT]
            if index:
                for row in range(layer[IN], layer[IN] + layer[INPUTS]):
                    fill(slope[row], 0.0, n)
            through = 1.0 if index else 0.0
            backward(
                layer, k, values, slopes_of, work.blocks[b], slope, work.rows[SPARE], n, through
            )


@compiled
def _lay_out(k: int, shape: Shape, work: Work, table: Table, x: Real, size: int) -> None:
    """Put the events of some blocks in their place, with slopes of zero at their features."""
    head = shape.layers[shape.heads[0]]
    for b in range(len(table)):
        low, n = table[b, DOMAIN] * size + table[b, FIRST], table[b, COUNT]
        for row in range(x.shape[1]):
            for t in range(n):
                work.blocks[b, row, t] = x[k, row, low + t]
        for row in range(head[IN], head[IN] + head[INPUTS]):
            fill(work.slopes[b, row], 0.0, n)


@compiled
def gradients(
    k: int,
    shape: Shape,
    work: Work,
    values: Buffers,
    slopes_of: Buffers,
    x: Real,
    label: Table,
    weight: Real,
    lambda_: float,
    domain_weight: float,
) -> tuple[float, float, float]:
    """Gradients of ``L_y + w_d L_d`` of member ``k``, the domain part reversed at the features.

    Args:
        k: member.
        shape: of the networks.
        work: memory to work in.
        values: parameters.
        slopes_of: receives the gradients; of this member they are zero before.
        x: (K, F, D * B) features.
        label: (K, D - 1, B) class indices.
        weight: (K, D, B) event weights.
        lambda_: λ·λ_p.
        domain_weight: w_d.

    Returns:
        L_y, L_d and the domain accuracy, as :mod:`hepdann.methods.losses` has them.
    """
    domains, size = weight.shape[1], weight.shape[2]
    together = len(shape.blocks) if shape.normalised else 1
    groups = domains if shape.per_domain else 1
    label_loss = domain_loss = recognised = 0.0
    for first in range(0, len(shape.blocks), together):
        table = shape.blocks[first : first + together]
        _lay_out(k, shape, work, table, x, size)
        _extractor_forward(shape, k, values, work, table, groups)
        for b in range(together):
            domain, low = table[b, DOMAIN], table[b, FIRST]
            high, is_target = low + table[b, COUNT], domain + 1 == domains
            block, slope, w = work.blocks[b], work.slopes[b], weight[k, domain, low:high]
            if not is_target:
                label_loss += _label_side(
                    shape, k, values, slopes_of, block, slope, work, label[k, domain, low:high],
                    w, 1 / ((domains - 1) * size),
                )  # fmt: skip
            share = (0.5 if is_target else 0.5 / (domains - 1)) / size
            loss, hits = _domain_side(
                shape, k, values, slopes_of, block, slope, work, is_target, w, share,
                domain_weight, lambda_,
            )  # fmt: skip
            domain_loss += loss
            recognised += hits * share
        _extractor_backward(shape, k, values, slopes_of, work, table, groups)
    return label_loss, domain_loss, recognised
