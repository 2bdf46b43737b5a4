"""What moves a stack: flat buffers of parameters, optimisers on them, and scaled losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from ..errors import ConfigError

OPTIMISERS = ("adam", "adamw", "sgd")
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class StackOptimiser:
    """One optimiser over some parts of a stack.

    ``adam`` (Kingma & Ba, 2015) with the weight decay as an L2 term of the gradient, ``adamw``
    with the decay apart from the gradient (Loshchilov & Hutter, 2019), ``sgd`` with momentum. The
    decay acts on every parameter, as in torch.

    The updates are the functions behind torch's optimisers. Its classes import torch's compiler
    when they are made, which takes about as long as ``import torch``.

    Args:
        shares: of the learning rate, for each part; by default 1.

    Raises:
        ConfigError: no optimiser of that name.
    """

    def __init__(
        self,
        parts: Sequence[ParameterBuffer],
        name: str = "adam",
        *,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        shares: Sequence[float] | None = None,
    ) -> None:
        if name not in OPTIMISERS:
            raise ConfigError(
                f"unknown optimiser {name!r}",
                where="train.optimiser",
                mend=f"known are {', '.join(OPTIMISERS)}",
            )
        self.parts, self.name = list(parts), name
        self.weight_decay, self.momentum = weight_decay, momentum
        self.fused = self.parts[0].value.device.type in ("cpu", "cuda")
        self.memory: list[dict[str, Tensor]] = [{} for _ in self.parts]
        given = [1.0] * len(self.parts) if shares is None else list(shares)
        self._groups = {
            share: [index for index, one in enumerate(given) if one == share] for share in given
        }

    @torch.no_grad()
    def step(self, rates: Sequence[float]) -> None:
        """Move the parameters by their gradients.

        Every update above is proportional to the learning rate. So the step is made at the
        largest rate, and each member takes its share of it; equal rates are the plain step.
        """
        largest, template = max(rates), self.parts[0].value
        if all(rate == largest for rate in rates):
            self._update(largest)
            return
        shares = torch.tensor([rate / largest for rate in rates], dtype=template.dtype)
        share = shares.to(template.device, non_blocking=True).unsqueeze(1)
        before = [part.value.detach().clone() for part in self.parts]
        self._update(largest)
        for part, old in zip(self.parts, before, strict=True):
            pairs = zip(part.by_member(part.value.data), part.by_member(old), strict=True)
            for now, then in pairs:
                now.copy_(torch.lerp(then, now, share))

    def _update(self, rate: float) -> None:
        for share, chosen in self._groups.items():
            self._update_some(chosen, rate * share)

    def _update_some(self, chosen: Sequence[int], rate: float) -> None:
        values: list[Tensor] = [self.parts[index].value for index in chosen]
        slopes = [self.parts[index].gradient for index in chosen]
        if self.name == "sgd":
            buffers = [self.memory[index].get("momentum_buffer") for index in chosen]
            sgd(
                values, slopes, buffers, fused=self.fused, lr=rate, momentum=self.momentum,
                weight_decay=self.weight_decay, dampening=0.0, nesterov=False, maximize=False,
            )  # fmt: skip
            for index, buffer in zip(chosen, buffers, strict=True):
                self.memory[index] = {} if buffer is None else {"momentum_buffer": buffer}
            return
        remembered = self.moments()
        first, second, steps = ([remembered[index][name] for index in chosen] for name in _MOMENTS)
        update = adam if self.name == "adam" else adamw
        update(
            values, slopes, first, second, [], steps, fused=self.fused, lr=rate, beta1=0.9,
            beta2=0.999, eps=1e-8, weight_decay=self.weight_decay, amsgrad=False, maximize=False,
        )  # fmt: skip

    def moments(self) -> list[dict[str, Tensor]]:
        """What Adam remembers of each part, zeros before the first step."""
        for part, entry in zip(self.parts, self.memory, strict=True):
            if not entry:
                entry["step"] = torch.zeros((), device=part.value.device if self.fused else None)
                for name in _MOMENTS[:2]:
                    entry[name] = torch.zeros_like(part.value.data)
        return self.memory

    def state(self) -> dict[str, Tensor]:
        """Everything that it remembers, by part and name: ``0.exp_avg``, ``1.step`` and so on."""
        return {
            f"{index}.{name}": value
            for index, entry in enumerate(self.memory)
            for name, value in entry.items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Remember what :meth:`state` gave."""
        self.memory = [{} for _ in self.parts]
        for key, value in state.items():
            index, _, name = key.partition(".")
            part, count = self.parts[int(index)].value, name == "step"
            to = torch.device("cpu") if count and not self.fused else part.device
            if not count and value.shape != part.shape:
                raise ValueError(f"{name} of shape {tuple(value.shape)}, not {tuple(part.shape)}")
            self.memory[int(index)][name] = value.to(to, torch.float32 if count else part.dtype)

    def take(self, other: StackOptimiser, members: Sequence[int]) -> None:
        """Remember what ``other``, of a larger stack, remembers of some members."""
        state: dict[str, Tensor] = {}
        for key, value in other.state().items():
            index = int(key.partition(".")[0])
            other_part = other.parts[index]
            if not value.dim():  # a count of steps, common to all members
                state[key] = value.clone()
                continue
            chosen_values = [
                rows[list(members)].reshape(-1) for rows in other_part.by_member(value)
            ]
            state[key] = torch.cat(chosen_values)
        self.load_state(state)

    def put(self, smaller: StackOptimiser, members: Sequence[int]) -> None:
        """Remember what ``smaller`` remembers of some members; of the others what was known."""
        known, state = self.state(), dict[str, Tensor]()
        for key, value in smaller.state().items():
            index = int(key.partition(".")[0])
            own_part, other_part = self.parts[index], smaller.parts[index]
            state[key] = value.clone()
            if value.dim():
                state[key] = known.get(key, torch.zeros_like(own_part.value.data)).clone()
                for whole, part in zip(
                    own_part.by_member(state[key]), other_part.by_member(value), strict=True
                ):
                    whole[list(members)] = part
        self.load_state(state)


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
