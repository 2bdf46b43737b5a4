"""The parameters of one part of a stack in one buffer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ParameterBuffer:
    """All parameters of a part in one 1-D buffer, of which the layers hold contiguous views.

    Stepping the optimiser, averaging the weights and saving them are then one operation each,
    however many layers there are.

    Attributes:
        value: the parameters of all members; its ``grad`` holds their gradients.
    """

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.value = nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]))
        gradient = torch.zeros_like(self.value)
        self.value.grad = gradient
        self.average = self.value.detach().clone()
        self._shapes = [parameter.shape for parameter in parameters]
        self._by_member = self.by_member(gradient)
        start = 0
        for parameter in parameters:
            end = start + parameter.numel()
            parameter.data = self.value.data[start:end].view(parameter.shape)
            parameter.grad = gradient[start:end].view(parameter.shape)
            start = end

    def by_member(self, buffer: Tensor) -> list[Tensor]:
        """Views (K, n) of a buffer that is laid out as ``value``, one for each parameter."""
        sizes = [shape.numel() for shape in self._shapes]
        parts = torch.split(buffer, sizes)
        return [part.view(shape[0], -1) for part, shape in zip(parts, self._shapes, strict=True)]

    @property
    def gradient(self) -> Tensor:
        """Gradients, in the order of ``value``."""
        assert self.value.grad is not None
        return self.value.grad

    def clip(self, largest: float) -> Tensor:
        """Scale down each member's gradient to the norm ``largest``; returns the norms (K,)."""
        norms = torch.stack([torch.linalg.vector_norm(g, dim=1) for g in self._by_member])
        norm = torch.linalg.vector_norm(norms, dim=0)
        scale = (largest / (norm + 1e-6)).clamp_(max=1.0).unsqueeze(1)
        torch._foreach_mul_(self._by_member, [scale] * len(self._by_member))
        return torch.as_tensor(norm)

    @torch.no_grad()
    def update_average(self, share: float) -> None:
        """Move the average by a share of the way to the parameters."""
        self.average.lerp_(self.value, share)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange parameters and average."""
        parameters = self.value.detach().clone()
        self.value.copy_(self.average)
        self.average.copy_(parameters)
