"""Learning rates, λ and early stopping of the members of a stack, as their history has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from .history import HistoryRow, MemberHistory
from .schedules import average_decay, lambda_schedule, rate_schedule
from .settings import Member, Settings
from .step.engine import StepValues


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
        past = MemberHistory(history, members)
        running = past.running(settings.monitor, settings.patience)
        rate, ramp = rate_schedule(settings.schedule), lambda_schedule(settings.lambda_schedule)
        losses = past.losses() if rate.name == "plateau" else [[]] * members
        errors = past.domain_errors() if ramp.name == "adaptive" else [[]] * members
        self._rates = [
            (settings.learning_rate if m.learning_rate is None else m.learning_rate)
            * rate.after(own)
            for m, own in zip(self._members, losses, strict=True)
        ]
        self._ramps = [ramp.after(own) for own in errors]
        fewer = running != self.running
        self.running = running
        factors = self.lambda_.new_tensor(self._ramps)
        self._lambda = (self.lambda_ * factors)[list(running)]
        return fewer

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
        rate, ramp = rate_schedule(settings.schedule), lambda_schedule(settings.lambda_schedule)
        return rate.at(at, total), ramp.at(at, total)
