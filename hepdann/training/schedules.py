"""Learning rate and λ as functions of the explicit step; no hidden state.

Two of them look back as well: ``plateau`` at a member's validation losses and ``adaptive`` at its
domain errors. Both are given these figures of the epochs so far, which stand in the history and so
in every checkpoint, and compute their factor anew from all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ConfigError

_RATES = ("cosine", "constant", "step", "inverse", "plateau")
_LAMBDAS = ("ganin", "constant", "linear", "adaptive")


def _check(name: str, known: tuple[str, ...], where: str) -> None:
    if name not in known:
        raise ConfigError(
            f"unknown schedule {name!r}", where=where, mend=f"known are {', '.join(known)}"
        )


@dataclass(frozen=True)
class RateSchedule:
    """How the learning rate changes; p is the step over the planned steps.

    Attributes:
        name: ``constant``; ``cosine`` from the base to 0 (Loshchilov & Hutter, "SGDR", 2016,
            without restarts); ``step``, times ``factor`` after each share ``every`` of the
            training; ``inverse``, (1 + alpha p)^-beta (Ganin et al., JMLR 17 (2016) 59, section
            5.2.2); ``plateau``, times ``factor`` when ``patience`` epochs brought no better
            validation loss.

    Raises:
        ConfigError: no schedule of that name.
    """

    name: str = "cosine"
    warm_up: float = 0.0
    factor: float = 0.1
    every: float = 1 / 3
    alpha: float = 10.0
    beta: float = 0.75
    patience: int = 3

    def __post_init__(self) -> None:
        _check(self.name, _RATES, "train.schedule")

    def at(self, step: int, total: int) -> float:
        """Factor on the base rate at ``step`` of ``total``, without what ``plateau`` adds."""
        rising = self.warm_up * total
        if step < rising:
            return (step + 1) / (rising + 1)
        done, planned = step - rising, total - rising
        if self.name == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done / planned))
        p = done / planned
        if self.name == "step":
            return self.factor ** math.floor(p / self.every + 1e-9)
        if self.name == "inverse":
            return float((1 + self.alpha * p) ** -self.beta)
        return 1.0

    def after(self, losses: Sequence[float]) -> float:
        """Further factor of ``plateau`` after the validation losses of the epochs so far."""
        if self.name != "plateau":
            return 1.0
        factor, best, waited = 1.0, math.inf, 0
        for loss in losses:
            if loss < best:
                best, waited = loss, 0
            else:
                waited += 1
            if waited == self.patience:
                factor, waited = factor * self.factor, 0
        return factor


@dataclass(frozen=True)
class LambdaSchedule:
    """How λ changes; p is the step over the planned steps.

    Attributes:
        name: ``constant``; ``ganin``, 2 / (1 + exp(-gamma p)) - 1 (Ganin et al. 2016, section
            5.2.2); ``linear``, p / until up to 1; ``adaptive``, after each epoch times
            exp(gain · (error - domain error)), so that a domain head which is right too often
            meets a stronger adversary.

    Raises:
        ConfigError: no schedule of that name.
    """

    name: str = "ganin"
    gamma: float = 10.0
    until: float = 1.0
    error: float = 0.4
    gain: float = 3.0
    largest: float = 100.0

    def __post_init__(self) -> None:
        _check(self.name, _LAMBDAS, "train.lambda_schedule")

    def at(self, step: int, total: int) -> float:
        """λ_p, the factor on λ at ``step`` of ``total``, without what ``adaptive`` adds."""
        if self.name == "ganin":
            return 2 / (1 + math.exp(-self.gamma * step / total)) - 1
        if self.name == "linear":
            return min(1.0, step / total / self.until)
        return 1.0

    def after(self, errors: Sequence[float]) -> float:
        """Further factor of ``adaptive`` after the domain errors of the epochs so far."""
        factor = 1.0
        for error in errors if self.name == "adaptive" else ():
            factor *= math.exp(self.gain * (self.error - error))
            factor = min(max(factor, 1 / self.largest), self.largest)
        return factor


def rate_schedule(schedule: str | RateSchedule) -> RateSchedule:
    """A schedule, or the one of this name."""
    return RateSchedule(schedule) if isinstance(schedule, str) else schedule


def lambda_schedule(schedule: str | LambdaSchedule) -> LambdaSchedule:
    """A schedule, or the one of this name."""
    return LambdaSchedule(schedule) if isinstance(schedule, str) else schedule


def average_decay(decay: float, step: int) -> float:
    """Decay of the averaged weights at ``step``; lower at first, so that they leave the start."""
    return min(decay, (1 + step) / (10 + step))
