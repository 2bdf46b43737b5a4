"""A number with its error, and what event weights do to both."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """An estimate and its standard error, NaN where they do not exist (no events, Σw ≤ 0).

    ``n_eff`` is the effective number of events behind it, (Σw)²/Σw².
    """

    value: float
    error: float
    n_eff: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.error:.4f}"


NOTHING = Figure(math.nan, math.nan, 0.0)


def as_weight(weight: ArrayLike | None, n: int) -> Floats:
    """Event weights as (n,) float64; ``None`` means 1 each.

    Raises:
        ValueError: if there is not one weight an event.
    """
    if weight is None:
        return np.ones(n)
    array = np.asarray(weight, dtype=np.float64)
    if array.shape != (n,):
        raise ValueError(f"{n} events but weights of shape {array.shape}")
    return array


def effective_events(weight: Floats) -> float:
    """Kish's effective sample size (Σw)²/Σw² (Kish, Survey Sampling, 1965).

    A negative weight lowers the sum and raises the sum of squares: a sample with a fraction f of
    weights -1 among +1 counts as (1-2f)² n events. 0 for no events.
    """
    squares = float(np.sum(weight**2))
    return float(np.sum(weight)) ** 2 / squares if squares > 0 else 0.0


def residual_factor(share: Floats) -> Floats:
    """By how much the squared residuals of a weighted mean fall short, on average: their inverse.

    A heavy event pulls the mean towards itself: E(v - mean)² = σ²(1 - 2h + Σh²) with the share h of
    each event in the sum of weights, which is (n - 1)/n for equal weights. Without this factor
    heavy-tailed weights have errors that are 10 to 25 % too small (the sandwich's known bias:
    MacKinnon and White, J. Econometrics 29 (1985) 305).
    """
    left = 1.0 - 2.0 * share + float(np.sum(share**2))
    return np.divide(1.0, left, out=np.zeros_like(left), where=left > 0)  # a sole event has none


def linearised(influence: Floats, n_eff: float) -> float:
    """Standard error from the first-order influence of each independent event.

    √Σ influence², the delta-method (sandwich) error. It needs no positive weights: an event of
    weight w moves the estimate by w × (its term - the estimate)/Σw whatever the sign of w, and
    events are independent. Where almost every term is the same (all right, all wrong, full
    separation) the variance vanishes; the error is at least the reach of the Wilson interval from
    the edge, 1/(n_eff + 1), for no finite sample shows that an efficiency is exactly 0 or 1.
    """
    return max(math.sqrt(float(np.sum(influence**2))), 1.0 / (n_eff + 1.0))


def weighted_mean(values: Floats, weight: Floats) -> Figure:
    """Σwv/Σw with its linearised error √(Σ c w²(v - mean)²)/Σw.

    The factor c, 1 for equal weights, is :func:`residual_factor` times (n - 1)/n. For unit weights
    and v of 0 and 1 this is the binomial √(p(1-p)/n); for weights that do not depend on v it is
    √(p(1-p)/n_eff); :func:`linearised` says what it is at least. With negative weights the mean of
    v in [0, 1] is unbiased, but may come out beyond 0 or 1.
    """
    total = float(np.sum(weight))
    if len(values) == 0 or not total > 0:
        return NOTHING
    share = weight / total
    mean = float(np.sum(share * values))
    factor = residual_factor(share) * (1.0 - 1.0 / len(values))
    n_eff = effective_events(weight)
    return Figure(mean, linearised(share * (values - mean) * np.sqrt(factor), n_eff), n_eff)


def mean_of(values: Floats, weight: ArrayLike | None = None) -> float | None:
    """Σwv/Σw without an error; ``None`` without events or without a positive sum of weights."""
    w = as_weight(weight, len(values))
    total = float(w.sum())
    return float(w @ values) / total if len(values) and total > 0 else None
