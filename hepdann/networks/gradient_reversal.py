"""The gradient reversal layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _GradientReversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lambda_: Tensor) -> Tensor:
        ctx.save_for_backward(lambda_)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (lambda_,) = ctx.saved_tensors
        return -lambda_ * gradients[0], None


def reverse_gradient(x: Tensor, lambda_: Tensor) -> Tensor:
    """Pass ``x`` on, and multiply the gradient that comes back by ``-factor``.

    Ganin & Lempitsky, "Unsupervised Domain Adaptation by Backpropagation" (2015), eq. (7)-(8).

    Args:
        x: any tensor; in a stack (K, features, batch).
        lambda_: broadcastable to ``x``; in a stack (K, 1, 1), one λ for each member.

    Returns:
        ``x``, unchanged.
    """
    result: Tensor = _GradientReversal.apply(x, lambda_)  # type: ignore[no-untyped-call]
    return result


class GradientReversal(nn.Module):
    """The layer between feature extractor and domain head, as a module.

    Attributes:
        lambda_: minus which the gradient is multiplied by; set it as the training goes on.
    """

    lambda_: Tensor

    def __init__(self, lambda_: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("lambda_", torch.tensor(lambda_), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pass ``x`` on; see :func:`reverse_gradient`."""
        return reverse_gradient(x, self.lambda_)
