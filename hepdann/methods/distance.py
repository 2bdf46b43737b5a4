"""Methods that make the distance of source and target small: MMD and CORAL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..networks import AdversarialNetwork
from .base import AdversaryWeight, Batch, Method, Objective, Phase, domain_loss, label_loss

# Of features x and y (K, H, n) with weights (K, n) of mean 1: one value a member, (K,).
Distance = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
_BLOCK = 256  # events that are compared with each other; a larger batch is cut into blocks
_SMALLEST = 1e-12  # bandwidth of features that are all equal
_KERNELS = 5
_IN_CACHE = 1 << 17  # elements of the matrices of pairs that a processor keeps near itself


def _distance_phases(distance: Distance) -> tuple[Phase, ...]:
    """One update of ``L_y + λ·λ_p·w_d·distance``, at the feature layer."""

    def objective(
        network: AdversarialNetwork, batch: Batch, adversary: AdversaryWeight
    ) -> Objective:
        features = network.features(batch.x, weight=batch.weight_sizes)
        label = label_loss(network, features[..., : batch.labelled], batch)
        apart = _between_domains(distance, network.of_events(features), batch)
        nothing = torch.zeros_like(adversary.lambda_)
        watched, recognised = domain_loss(network, features.detach(), batch, nothing)
        figures = {
            "label_loss": label.detach(),
            "domain_loss": watched.detach(),
            "domain_accuracy": recognised,
        }
        return Objective(
            label + adversary.domain_weight * (adversary.lambda_ * apart + watched), figures
        )

    return (Phase(("extractor", "label_head", "domain_head"), objective),)


def _between_domains(distance: Distance, features: Tensor, batch: Batch) -> Tensor:
    """(K,) mean distance of the target to the labelled domains, of features (K, H, D * B)."""
    *labelled, target = features.chunk(batch.domains, dim=-1)
    weight = batch.weight
    apart = [distance(x, target, weight[:, d], weight[:, -1]) for d, x in enumerate(labelled)]
    return torch.stack(apart).mean(0)


def squared_mmd(
    x: Tensor, y: Tensor, weight_x: Tensor, weight_y: Tensor, bandwidth: float | None = None
) -> Tensor:
    """Unbiased estimate (K,) of the squared maximum mean discrepancy, weighted; it can be negative.

    ``1/(n(n-1)) Σ_{i≠j} [w_i w_j k(x_i, x_j) + v_i v_j k(y_i, y_j) - w_i v_j k(x_i, y_j) - w_j v_i
    k(x_j, y_i)]`` (Gretton et al., JMLR 13 (2012) 723, eq. (4)), with the mean of five Gaussian
    kernels ``exp(-d² / (2^u b))``, u = -2 … 2, as in Long et al., "Learning Transferable Features
    with Deep Adaptation Networks" (2015). Batches above 256 events are cut into blocks whose
    estimates are averaged (Zaremba et al. 2013): the cost stays linear in n.

    Features x and y are (K, H, n), weights (K, n), of mean 1 over their domain and of either sign.
    The bandwidth b is by default the mean squared distance of the events, each weighing |w|. No
    gradient passes through it, nor through the weights.
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
    """The sums of some members (m, H, n) with weights (m, n), and gradients if these are wanted.

    With k = (p + p² + p⁴ + p⁸ + p¹⁶)/5 and p = exp(-d²/4b), the slope in d² is -(p + 2p² + 4p⁴ +
    8p⁸ + 16p¹⁶)/20b. Without a bandwidth b is the mean squared distance.
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
    phases=_distance_phases(squared_mmd),
    adversarial=True,
)


def covariance_distance(x: Tensor, y: Tensor, weight_x: Tensor, weight_y: Tensor) -> Tensor:
    """``||C_x - C_y||² / (4 H²)`` (K,) of weighted covariances (Sun & Saenko, "Deep CORAL", eq. 1).

    ``C = Σ w x xᵀ / n - μ μᵀ`` with ``μ = Σ w x / n``, x counted from the centre of the batch:
    nothing is divided by a sum of weights, which can come near zero where some are negative.
    Features are (K, H, n), weights (K, n), of mean 1 over their domain and of either sign.
    """
    centre = 0.5 * (x.detach().mean(-1, keepdim=True) + y.detach().mean(-1, keepdim=True))
    difference = _covariance(x - centre, weight_x) - _covariance(y - centre, weight_y)
    return difference.square().sum((-2, -1)) / (4 * x.shape[1] ** 2)


def _covariance(x: Tensor, weight: Tensor) -> Tensor:
    weighted = x * weight.unsqueeze(1) / x.shape[-1]
    mean = weighted.sum(-1, keepdim=True)
    return weighted @ x.transpose(-1, -2) - mean @ mean.transpose(-1, -2)


CORAL = Method(
    name="coral",
    summary="brings the domains' feature covariances together (deep CORAL, Sun & Saenko 2016)",
    phases=_distance_phases(covariance_distance),
    adversarial=True,
)
