"""Deep CORAL: the covariance of the features is to be that of the other domain."""

from __future__ import annotations

from torch import Tensor

from .base import Method
from .distance import distance_phases


def covariance_distance(x: Tensor, y: Tensor, weight_x: Tensor, weight_y: Tensor) -> Tensor:
    """``||C_x - C_y||² / (4 H²)`` of weighted covariances (Sun & Saenko, "Deep CORAL", eq. 1).

    ``C = Σ w x xᵀ / n - μ μᵀ`` with ``μ = Σ w x / n``, x counted from the centre of the batch:
    nothing is divided by a sum of weights, which can come near zero where some are negative.

    Args:
        x: (K, H, n) features of one domain.
        y: (K, H, n) of the other.
        weight_x: (K, n) event weights, of mean 1 over the domain, of either sign.
        weight_y: likewise.

    Returns:
        (K,) one value a member.
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
    phases=distance_phases(covariance_distance),
    adversarial=True,
)
