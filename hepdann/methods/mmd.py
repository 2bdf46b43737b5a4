"""Deep adaptation with the maximum mean discrepancy of the feature layer."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Method
from .distance import distance_phases

__all__ = ["MMD", "squared_mmd"]

_BLOCK = 256  # events that are compared with each other; a larger batch is cut into blocks
_SMALLEST = 1e-12  # bandwidth of features that are all equal


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
        bandwidth: b; by default the mean squared distance of the events, each weighing |w|.

    Returns:
        (K,) one value a member.
    """
    blocks = max(1, x.shape[-1] // _BLOCK)
    size = x.shape[-1] // blocks
    keep = blocks * size
    z = torch.cat([_cut(x, blocks, keep), _cut(y, blocks, keep)], dim=-1)
    weight = torch.cat([_cut(weight_x, blocks, keep), -_cut(weight_y, blocks, keep)], dim=-1)
    square = z.square().sum(-2)
    apart = square.unsqueeze(-1) + square.unsqueeze(-2) - 2 * z.transpose(-1, -2) @ z
    apart = apart.clamp(min=0)
    if bandwidth is None:
        share = weight.abs() / weight.abs().sum(-1, keepdim=True)
        scale = torch.einsum("...i,...ij,...j->...", share, apart.detach(), share)
        scale = scale.clamp(min=_SMALLEST)[..., None, None]
    else:
        scale = torch.full_like(apart[..., :1, :1], bandwidth)
    power = torch.exp(-apart / (4 * scale))
    kernel = power
    for _ in range(4):
        power = power.square()
        kernel = kernel + power
    pairs = kernel / 5 * (weight.unsqueeze(-1) * weight.unsqueeze(-2))
    pairs = pairs.view(*pairs.shape[:2], 2, size, 2, size).sum((2, 4))
    total = pairs.sum((-2, -1)) - pairs.diagonal(dim1=-2, dim2=-1).sum(-1)
    return total.mean(1) / (size * max(size - 1, 1))


def _cut(values: Tensor, blocks: int, keep: int) -> Tensor:
    """(K, …, n) to (K, blocks, …, n / blocks); a rest that fills no block is left out."""
    kept = values[..., :keep].reshape(*values.shape[:-1], blocks, keep // blocks)
    return kept.movedim(-2, 1)


MMD = Method(
    name="mmd",
    summary="brings the domains' features together by their multi-kernel MMD (Long et al. 2015)",
    phases=distance_phases(squared_mmd),
    adversarial=True,
)
