"""Learning rate and λ as functions of the explicit step; no hidden state."""

from __future__ import annotations

import math

__all__ = ["average_decay", "lambda_progress", "learning_rate"]


def learning_rate(schedule: str, base: float, step: int, total: int) -> float:
    """Learning rate at ``step`` of ``total``: ``constant``, or ``cosine`` from base to 0."""
    if schedule == "constant":
        return base
    return 0.5 * base * (1 + math.cos(math.pi * step / total))


def lambda_progress(schedule: str, step: int, total: int) -> float:
    """λ_p, the factor on λ at ``step`` of ``total``.

    ``ganin``: ``2 / (1 + exp(-10 p)) - 1`` with p = step / total (Ganin et al. 2016,
    section 5.2.2); ``constant``: 1.
    """
    if schedule == "constant":
        return 1.0
    return 2 / (1 + math.exp(-10 * step / total)) - 1


def average_decay(decay: float, step: int) -> float:
    """Decay of the averaged weights at ``step``; lower at first, so that they leave the start."""
    return min(decay, (1 + step) / (10 + step))
