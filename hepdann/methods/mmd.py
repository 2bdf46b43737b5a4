"""Deep adaptation with the maximum mean discrepancy of the feature layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .base import Method
from .distance import distance_phases

_BLOCK = 256  # events that are compared with each other; a larger batch is cut into blocks
_SMALLEST = 1e-12  # bandwidth of features that are all equal
_KERNELS = 5
_IN_CACHE = 1 << 17  # elements of the matrices of pairs that a processor keeps near itself


def squared_mmd(
    x: Tensor, y: Tensor, weight_x: Tensor, weight_y: Tensor, bandwidth: float | None = None
) -> Tensor:
    """Unbiased estimate of the squared maximum mean discrepancy, weighted; it can be negative.

    ``1/(n(n-1)) Σ_{i≠j} [w_i w_j k(x_i, x_j) + v_i v_j k(y_i, y_j) - w_i v_j k(x_i, y_j)
    - w_j v_i k(x_j, y_i)]`` (Gretton et al., JMLR 13 (2012) 723, eq. (4)), with the mean of five
    Gaussian kernels ``exp(-d² / (2^u b))``, u = -2 … 2, as in Long et al., "Learning Transferable
    Features with Deep Adaptation Networks" (2015). Batches above 256 events are cut into blocks
    whose estimates are averaged (Zaremba et al. 2013): the cost stays linear in n.

    Args:
        x: (K, H, n) features of one domain.
        y: (K, H, n) of the other.
        weight_x: (K, n) event weights, of mean 1 over the domain, of either sign.
        weight_y: likewise.
        bandwidth: b; by default the mean squared distance of the events, each weighing |w|. No
            gradient passes through it, nor through the weights.

    Returns:
        (K,) one value a member.
    """
    blocks = max(1, x.shape[-1] // _BLOCK)
    size = x.shape[-1] // blocks
    keep = blocks * size
    z = torch.cat([_cut(x, blocks, keep), _cut(y, blocks, keep)], dim=-1)
    weight = torch.cat([_cut(weight_x, blocks, keep), -_cut(weight_y, blocks, keep)], dim=-1)
    total: Tensor = _PairSum.apply(  # type: ignore[no-untyped-call]
        z.flatten(0, 1), weight.flatten(0, 1), bandwidth
    )
    return total.view(-1, blocks).mean(1) / (size * max(size - 1, 1))


def _cut(values: Tensor, blocks: int, keep: int) -> Tensor:
    """(K, …, n) to (K, blocks, …, n / blocks); a rest that fills no block is left out."""
    grouped = values[..., :keep].reshape(*values.shape[:-1], blocks, keep // blocks)
    return grouped.movedim(-2, 1)


class _PairSum(torch.autograd.Function):
    """``Σ w_i w_j k(z_i, z_j)`` over pairs i, j that differ, also modulo n/2; (M, H, n) to (M,).

    Of every pair there are the distance, its kernel and its slope. Autograd would keep a dozen
    such matrices of all members; here a few members at a time are done with while they lie in the
    processor's cache, value and gradient at once.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, weight: Tensor, bandwidth: float | None) -> Tensor:
        """The sums; the gradient is computed along with them where it will be asked for."""
        wanted = ctx.needs_input_grad[0]
        value, slope = weight.new_empty(len(z)), torch.empty_like(z) if wanted else None
        for some in _parts(z):
            value[some], gradient = _pair_sum(z[some], weight[some], bandwidth, wanted)
            if slope is not None and gradient is not None:
                slope[some] = gradient
        ctx.save_for_backward(slope)
        return value

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, None, None]:
        """The gradient of ``z``."""
        (slope,) = ctx.saved_tensors
        return above[0].view(-1, 1, 1) * slope, None, None


def _parts(z: Tensor) -> Iterator[slice]:
    """Members whose matrices of pairs are worked on together."""
    some = len(z) if z.device.type != "cpu" else max(1, _IN_CACHE // z.shape[-1] ** 2)
    return (slice(k, k + some) for k in range(0, len(z), some))


def _pair_sum(
    z: Tensor, weight: Tensor, bandwidth: float | None, wanted: bool
) -> tuple[Tensor, Tensor | None]:
    """The sums of some members, and their gradients.

    With k = (p + p² + p⁴ + p⁸ + p¹⁶)/5 and p = exp(-d²/4b), the slope in d² is
    -(p + 2p² + 4p⁴ + 8p⁸ + 16p¹⁶)/20b.

    Args:
        z: (m, H, n).
        weight: (m, n).
        bandwidth: b, or ``None`` for the mean squared distance.
        wanted: whether the gradient is.
    """
    square, row = z.square().sum(-2), weight.unsqueeze(-2)
    apart = torch.baddbmm(square.unsqueeze(-1) + square.unsqueeze(-2), z.mT, z, alpha=-2)
    apart.clamp_(min=0)  # symmetric, as are the kernels: a row times a matrix is the faster product
    if bandwidth is None:
        share = row.abs() / row.abs().sum(-1, keepdim=True)
        scale = (share @ apart @ share.mT).clamp_(min=_SMALLEST)
    else:
        scale = torch.full_like(apart[..., :1, :1], bandwidth)
    power = apart.mul_(-0.25 / scale).exp_()
    half = z.shape[-1] // 2
    for step in (-half, 0, half):  # an event and itself, and the event of its number beyond
        power.diagonal(step, -2, -1).zero_()
    kernel = row @ power
    slope, of_all = power.clone() if wanted else None, kernel.clone()
    for u in range(1, _KERNELS):
        term = row @ power.square_()
        kernel += term
        of_all.add_(term, alpha=2.0**u)
        if slope is not None:
            slope.add_(power, alpha=2.0**u)
    value = (kernel * row).sum((-2, -1)) / _KERNELS
    if slope is None:
        return value, None
    steep = torch.baddbmm(z * of_all, z * row, slope, beta=-1)
    return value, steep.mul_(row / (_KERNELS * scale))


MMD = Method(
    name="mmd",
    summary="brings the domains' features together by their multi-kernel MMD (Long et al. 2015)",
    phases=distance_phases(squared_mmd),
    adversarial=True,
)
