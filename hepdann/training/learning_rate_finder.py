"""Which learning rate a stack can take: a short training with a rate that rises step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .batches import epoch_batches
from .settings import threads
from .step.engine import StepValues, engine_for
from .trainer import StackTrainer

_SMOOTH = 0.9  # weight of what came before in the smoothed loss
_DIVERGED = 2.0  # times the loss at the start


@dataclass(frozen=True, eq=False)
class RateRange:
    """What a stack's loss did while the learning rate rose.

    Attributes:
        losses: (n, K) smoothed label loss of each member.
        steepest: (K,) rate at which each member's loss fell fastest.
        lowest: (K,) rate at which it was lowest; beyond it the training begins to diverge.
        suggestion: a tenth of the smallest of ``lowest``, for all members.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    steepest: NDArray[np.float64]
    lowest: NDArray[np.float64]
    suggestion: float


def find_learning_rate(
    trainer: StackTrainer, *, start: float = 1e-5, end: float = 1.0, steps: int = 100
) -> RateRange:
    """Train a copy of a stack with a rate that grows from step to step, until its loss explodes.

    Smith, "Cyclical Learning Rates for Training Neural Networks" (2017), section 3.3, with a rate
    that grows exponentially. λ acts in full, so that an adversary's unrest is in it.

    Args:
        trainer: of the stack; it is left as it is.
        start: rate of the first step.
        end: rate of the last step.
        steps: of the search.
    """
    rates, members = np.geomspace(start, end, steps), len(trainer.members)
    settings = trainer.settings
    with threads(settings.threads):
        stack = trainer.stack.select(range(members))
        stack.network.train()
        engine = engine_for(stack, settings)
        smooth: list[NDArray[np.float64]] = []
        batches = epoch_batches(
            trainer.slots,
            [m.seed for m in trainer.members],
            epoch=0,
            size=settings.batch_size,
            steps=len(rates),
        )
        for step, batch, _ in batches:
            values = StepValues(
                step=step,
                rates=(float(rates[step]),) * members,
                lambda_=trainer.lambda_,
                domain_weight=settings.domain_weight,
                clip=settings.clip,
                average_decay=0.0,
            )
            loss = engine.step(batch, values)["label_loss"].cpu().double().numpy()
            before = smooth[-1] if smooth else loss
            smooth.append(_SMOOTH * before + (1 - _SMOOTH) * loss)
            if not (smooth[-1] < _DIVERGED * smooth[0]).any():
                break
    rates, losses = rates[: len(smooth)], np.array(smooth)
    filled = np.where(np.isfinite(losses), losses, np.inf)
    lowest = filled.argmin(0)
    steepest = np.zeros_like(lowest)
    for k, last in enumerate(lowest):
        fall = np.diff(filled[: last + 1, k])
        steepest[k] = fall.argmin() if len(fall) else 0
    suggestion = float(rates[lowest].min()) / 10
    return RateRange(rates, losses, rates[steepest], rates[lowest], suggestion)
