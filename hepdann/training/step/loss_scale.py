"""Scaled losses, without which small gradients vanish in half precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .parameter_buffer import ParameterBuffer

_START, _GROW_AFTER = 2.0**16, 2_000  # as torch.amp.GradScaler has them


class LossScale:
    """A factor on the loss of each of K members, by which their gradients are divided again.

    Micikevicius et al., "Mixed Precision Training" (2018), section 3.2. Where a member's gradient
    is not finite its factor halves, and it takes this step with a gradient of zero: to skip the
    step, as ``torch.amp.GradScaler`` does, would hold up the other members too. After 2,000 steps
    without that the factor doubles. The device is not waited for.

    Attributes:
        value: (K,) the factors.
    """

    def __init__(self, members: int, template: Tensor) -> None:
        self.value = template.new_full((members,), _START)
        self.clean = template.new_zeros(members)

    def losses(self, values: Tensor) -> Tensor:
        """(K,) losses times their factors."""
        return values * self.value

    @torch.no_grad()
    def unscale(self, parts: Sequence[ParameterBuffer]) -> None:
        """Divide the gradients of some parts by the factors, and have these follow."""
        slopes = [slope for part in parts for slope in part.by_member(part.gradient)]
        for slope in slopes:
            slope /= self.value.unsqueeze(1)
        finite = torch.stack([slope.isfinite().all(1) for slope in slopes]).all(0)
        for slope in slopes:
            slope.masked_fill_(~finite.unsqueeze(1), 0)
        self.clean.add_(1).mul_(finite)
        grown = self.clean == _GROW_AFTER
        self.value.mul_(torch.where(finite, 1.0 + grown.to(self.value.dtype), 0.5))
        self.clean.masked_fill_(grown, 0)

    def state(self) -> dict[str, Tensor]:
        """All that it remembers, by name."""
        return {"value": self.value, "clean": self.clean}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Remember what :meth:`state` gave."""
        for name, value in self.state().items():
            value.copy_(state[name])
