"""Learning rates, λ and early stopping of the members of a stack, as their history has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError
from .settings import Member, Settings

HistoryRow = dict[str, object]

# Label-free figures of the history by which an epoch may be chosen, and the sign that makes less
# of it better. Those of the target are figures of the domain head; no target label enters any.
MONITORS: dict[str, float] = {
    "validation_loss": 1.0,
    "validation_accuracy": -1.0,
    "validation_domain_accuracy": 1.0,
    "validation_loss_domain": -1.0,
}


def monitored(row: Mapping[str, object], monitor: str) -> float:
    """The figure of a row of the history that decides between epochs; less is better.

    Raises:
        ConfigError: it is none of ``MONITORS``.
    """
    if monitor not in MONITORS:
        raise ConfigError(
            f"no epoch can be chosen by {monitor!r}",
            where="train.monitor",
            mend=f"known are {', '.join(MONITORS)}",
        )
    return MONITORS[monitor] * float(str(row[monitor]))


@dataclass(frozen=True)
class StepValues:
    """Everything that a step takes from the schedules and settings."""

    step: int
    rates: tuple[float, ...]
    lambda_: Tensor
    domain_weight: float
    clip: float
    average_decay: float
    nuisance_weight: float = 1.0
    adversary_steps: int = 1


class MemberSchedules:
    """What each step takes of the schedules, and which members still train.

    All of it follows from the settings and the history, so that a resume finds the same.

    Attributes:
        lambda_: (K,) λ of the members, 0 of those without an adversary.
    """

    def __init__(self, members: Sequence[Member], settings: Settings) -> None:
        self._members, self._settings = tuple(members), settings
        self.lambda_ = torch.tensor(
            [m.lambda_ if m.method.adversarial else 0.0 for m in members],
            device=settings.device,
            dtype=settings.dtype,
        )
        self.running = tuple(range(len(members)))

    def look_back(self, history: Sequence[HistoryRow]) -> bool:
        """Before an epoch: who has stopped, and where schedules that look back stand.

        Returns:
            Whether fewer members go on than before.
        """
        settings, members = self._settings, len(self._members)
        rows: list[list[HistoryRow]] = [[] for _ in range(members)]
        for row in history:
            rows[int(str(row["member"]))].append(row)
        running = tuple(k for k, member_rows in enumerate(rows) if not self._exhausted(member_rows))
        rate, ramp = settings.schedule, settings.lambda_schedule
        losses: list[list[float]] = [[]] * members
        errors = losses
        if rate.name == "plateau":
            losses = [
                [monitored(row, "validation_loss") for row in member_rows] for member_rows in rows
            ]
        if ramp.name == "adaptive":  # how often the domain head was wrong
            errors = [
                [1 - float(str(row["domain_accuracy"])) for row in member_rows]
                for member_rows in rows
            ]
        self._rates = [
            (settings.learning_rate if m.learning_rate is None else m.learning_rate)
            * rate.after(member_losses)
            for m, member_losses in zip(self._members, losses, strict=True)
        ]
        self._ramps = [ramp.after(member_errors) for member_errors in errors]
        fewer = running != self.running
        self.running = running
        factors = self.lambda_.new_tensor(self._ramps)
        self._lambda = (self.lambda_ * factors)[list(running)]
        return fewer

    def _exhausted(self, rows: Sequence[HistoryRow]) -> bool:
        """Whether a member's best epoch is so many epochs ago that it stops."""
        best, waited, patience = math.inf, 0, self._settings.patience
        for row in rows if patience else ():
            loss = monitored(row, self._settings.monitor)
            best, waited = (loss, 0) if loss < best else (best, waited + 1)
        return 0 < patience <= waited

    def values(self, at: int) -> StepValues:
        """What a step takes of the members that train."""
        settings = self._settings
        rate, ramp = self._scheduled(at)
        return StepValues(
            step=at,
            rates=tuple(self._rates[k] * rate for k in self.running),
            lambda_=self._lambda * ramp,
            domain_weight=settings.domain_weight,
            nuisance_weight=settings.nuisance_weight,
            adversary_steps=settings.adversary_steps,
            clip=settings.clip,
            average_decay=average_decay(settings.ema, at) if settings.ema else 0.0,
        )

    def row(self, index: int, epoch: int, at: int) -> Mapping[str, object]:
        """Which member a row of the history is of, and what its schedules were at."""
        member, lambda_ = self._members[index], float(self.lambda_[index])
        rate, ramp = self._scheduled(at)
        return {
            "method": member.label,
            "member": index,
            "seed": member.seed,
            "lambda": lambda_,
            "epoch": epoch + 1,
            "step": at,
            "learning_rate": self._rates[index] * rate,
            "grl": lambda_ * self._ramps[index] * ramp,
        }

    def _scheduled(self, at: int) -> tuple[float, float]:
        """The common factors of learning rate and λ at a step."""
        settings, total = self._settings, self._settings.total_steps
        return settings.schedule.at(at, total), settings.lambda_schedule.at(at, total)


def average_decay(decay: float, step: int) -> float:
    """Decay of the averaged weights at ``step``; lower at first, so that they leave the start."""
    return min(decay, (1 + step) / (10 + step))
