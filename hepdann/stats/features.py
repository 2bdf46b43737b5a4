"""Which features differ between two samples, and how features are correlated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .distances import kolmogorov, wasserstein
from .figure import Floats, as_weight
from .granularity import common_granularity
from .two_sample import SIGNIFICANT, Events


@dataclass(frozen=True)
class FeatureShift:
    """How one feature differs.

    Attributes:
        ks: largest distance between the two weighted cumulative distributions.
        p_value: of that distance between equal samples, corrected for the number of features (Holm,
            Scand. J. Stat. 6 (1979) 65).
        wasserstein: mean distance by which events would have to be moved, in σ of MC; its p-value
            is corrected likewise.
        mean_shift: (mean in target - mean in MC)/σ in MC.
        missing_mc: share of missing values in MC, by weight.
    """

    name: str
    ks: float
    p_value: float
    wasserstein: float
    wasserstein_p_value: float
    mean_shift: float
    missing_mc: float
    missing_target: float

    @property
    def differs(self) -> bool:
        """Whether one of the two tests says so at 1 %, each at half of it."""
        return any(p < 0.5 * SIGNIFICANT for p in (self.p_value, self.wasserstein_p_value))


def smallest_p_value(features: Sequence[FeatureShift]) -> float:
    """Of the hypothesis that no single feature differs, by both tests of each; 1 without any."""
    both = [p for f in features for p in (f.p_value, f.wasserstein_p_value) if np.isfinite(p)]
    return min(1.0, 2.0 * min(both, default=1.0))


def rank_features(
    mc: Events, target: Events, names: Sequence[str], *, seed: int = 0
) -> list[FeatureShift]:
    """Each feature by itself, the one that differs most first.

    Values are brought to a common granularity first, see :mod:`.granularity`.
    """
    generator = np.random.default_rng([seed, 2])
    first, second, _ = common_granularity(mc.features, target.features, generator)
    weights = [np.asarray(s.weight, dtype=np.float64) for s in (mc, target)]
    raw = []
    for i in range(len(names)):
        columns = (first[:, i], second[:, i])
        known = [np.isfinite(c) for c in columns]
        x = [c[k] for c, k in zip(columns, known, strict=True)]
        w = [v[k] for v, k in zip(weights, known, strict=True)]
        missing = [1.0 - float(v.sum() / u.sum()) for v, u in zip(w, weights, strict=True)]
        moved, moved_p = wasserstein(x[0], x[1], w[0], w[1], seed=seed)
        mean, sigma = _moments(x[0], w[0])
        moved = moved / sigma if sigma > 0 else moved
        difference = _moments(x[1], w[1])[0] - mean
        mean_shift = difference / sigma if sigma > 0 else 0.0 * difference
        raw.append((*kolmogorov(x[0], x[1], w[0], w[1]), moved, moved_p, mean_shift, *missing))
    ks_holm, moved_holm = (_holm(np.array([r[i] for r in raw])) for i in (1, 3))
    shifts = [
        FeatureShift(name, r[0], float(ks_holm[i]), r[2], float(moved_holm[i]), *r[4:])
        for i, (name, r) in enumerate(zip(names, raw, strict=True))
    ]
    return sorted(shifts, key=lambda f: -np.nan_to_num(f.ks, nan=-1.0))


def _moments(x: Floats, w: Floats) -> tuple[float, float]:
    """Weighted mean and standard deviation; NaN and 0 without a positive sum of weights."""
    total = w.sum()
    if not total > 0:
        return float("nan"), 0.0
    mean = float(w @ x / total)  # differs from the sum below in its last bits
    return float(np.sum(w * x) / total), float(max(w @ (x - mean) ** 2 / total, 0.0) ** 0.5)


def _holm(p_values: Floats) -> Floats:
    order = np.argsort(p_values)  # NaN last
    scaled = p_values[order] * np.arange(len(order), 0, -1)
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(np.fmax.accumulate(scaled), 1.0)
    return np.where(np.isnan(p_values), np.nan, corrected)


def correlation(features: ArrayLike, weight: ArrayLike | None = None) -> Floats:
    """(F, F) weighted linear correlation of every pair of features, within [-1, 1].

    Of each pair, the events where both are known count; NaN where a feature is constant.
    """
    x = np.asarray(features, dtype=np.float64)
    w = as_weight(weight, len(x))
    x = x - np.nanmean(x, axis=0) if len(x) else x  # against cancellation in the sums below
    known = np.isfinite(x).astype(np.float64)
    x = np.where(known > 0, x, 0.0)
    wk, wx, wxx = known * w[:, None], x * w[:, None], x**2 * w[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        count = known.T @ wk
        mean = known.T @ wx / count  # [a, b]: mean of b where a is known as well
        variance = known.T @ wxx / count - mean**2
        covariance = x.T @ wx / count - mean * mean.T
        coefficient = covariance / np.sqrt(variance * variance.T)
    return np.asarray(np.clip(coefficient, -1.0, 1.0))
