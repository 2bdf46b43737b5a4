"""Optimisers of a stack: torch's, on flat buffers, with a learning rate for each member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..errors import ConfigError
from .flat import FlatPart

__all__ = ["OPTIMISERS", "StackOptimiser"]

OPTIMISERS = ("adam", "adamw", "sgd")


class StackOptimiser:
    """One optimiser over some parts of a stack.

    ``adam`` (Kingma & Ba, 2015) with the weight decay as an L2 term of the gradient, ``adamw``
    with the decay apart from the gradient (Loshchilov & Hutter, 2019), ``sgd`` with momentum. The
    decay acts on every parameter, as in torch.

    Args:
        parts: whose parameters move.
        name: one of ``OPTIMISERS``.
        weight_decay: of all members.
        momentum: of ``sgd``.

    Raises:
        ConfigError: no optimiser of that name.
    """

    def __init__(
        self,
        parts: Sequence[FlatPart],
        name: str = "adam",
        *,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
    ) -> None:
        self.parts = list(parts)
        values: list[Tensor] = [part.value for part in parts]
        fused = values[0].device.type in ("cpu", "cuda")
        decay = weight_decay
        self.torch: torch.optim.Optimizer
        if name == "adam":
            self.torch = torch.optim.Adam(values, lr=1.0, weight_decay=decay, fused=fused)
        elif name == "adamw":
            self.torch = torch.optim.AdamW(values, lr=1.0, weight_decay=decay, fused=fused)
        elif name == "sgd":
            self.torch = torch.optim.SGD(
                values, lr=1.0, momentum=momentum, weight_decay=decay, fused=fused
            )
        else:
            raise ConfigError(
                f"unknown optimiser {name!r}",
                where="train.optimiser",
                mend=f"known are {', '.join(OPTIMISERS)}",
            )

    @torch.no_grad()
    def step(self, rates: Sequence[float]) -> None:
        """Move the parameters by their gradients.

        Every update above is proportional to the learning rate. So the step is made at the
        largest rate, and each member takes its share of it; equal rates are the plain step.

        Args:
            rates: (K,) learning rate of each member.
        """
        largest = max(rates)
        self.torch.param_groups[0]["lr"] = largest
        if all(rate == largest for rate in rates):
            self.torch.step()
            return
        before = [part.value.detach().clone() for part in self.parts]
        self.torch.step()
        share = torch.tensor([rate / largest for rate in rates], dtype=before[0].dtype)
        share = share.to(before[0].device).unsqueeze(1)
        for part, old in zip(self.parts, before, strict=True):
            pairs = zip(part.by_member(part.value.data), part.by_member(old), strict=True)
            for now, then in pairs:
                now.copy_(torch.lerp(then, now, share))

    def state(self) -> dict[str, Tensor]:
        """Everything that it remembers, by part and name: ``0.exp_avg``, ``1.step`` and so on."""
        return {
            f"{index}.{name}": value
            for index, entry in self.torch.state_dict()["state"].items()
            for name, value in entry.items()
            if isinstance(value, Tensor)
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Remember what :meth:`state` gave."""
        entries: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            index, _, name = key.partition(".")
            entries.setdefault(int(index), {})[name] = value
        whole = self.torch.state_dict()
        whole["state"] = entries
        self.torch.load_state_dict(whole)

    def take(self, other: StackOptimiser, members: Sequence[int]) -> None:
        """Remember what ``other``, of a larger stack, remembers of some members."""
        state: dict[str, Tensor] = {}
        for key, value in other.state().items():
            index = int(key.partition(".")[0])
            theirs = other.parts[index]
            if not value.dim():  # a count of steps, common to all members
                state[key] = value.clone()
                continue
            pieces = [piece[list(members)].reshape(-1) for piece in theirs.by_member(value)]
            state[key] = torch.cat(pieces)
        self.load_state(state)

    def put(self, smaller: StackOptimiser, members: Sequence[int]) -> None:
        """Remember what ``smaller`` remembers of some members; of the others what was known."""
        known, state = self.state(), dict[str, Tensor]()
        for key, value in smaller.state().items():
            index = int(key.partition(".")[0])
            mine, theirs = self.parts[index], smaller.parts[index]
            state[key] = value.clone()
            if value.dim():
                state[key] = known.get(key, torch.zeros_like(mine.value.data)).clone()
                for whole, part in zip(
                    mine.by_member(state[key]), theirs.by_member(value), strict=True
                ):
                    whole[list(members)] = part
        self.load_state(state)
