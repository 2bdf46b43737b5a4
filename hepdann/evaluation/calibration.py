"""Reliability curves: the share of signal among the events of each score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..stats.figure import Figure, as_weight, weighted_mean

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """A reliability curve (DeGroot and Fienberg, The Statistician 32 (1983) 12).

    Attributes:
        score: (B,) mean score of each bin; NaN in an empty one.
        signal: (B,) share of signal there.
        error: (B,) its binomial error for weighted events.
        expected: expected calibration error, Σ share of events · |signal - score|, with the error
            of the bins added in quadrature (Naeini et al., AAAI 2015).
    """

    score: Floats
    signal: Floats
    error: Floats
    expected: Figure


def calibration(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None, bins: int = 10
) -> Calibration:
    """Compare scores with the share of signal.

    Args:
        score: (N,) probability of signal.
        label: (N,) truth: 1 is signal.
        weight: (N,) event weights of either sign; 1 by default.
        bins: of equal width in the score; those with Σw ≤ 0 are empty.
    """
    score = np.asarray(score, dtype=np.float64)
    signal = (np.asarray(label) == 1).astype(np.float64)
    w = as_weight(weight, len(score))
    place = np.clip((score * bins).astype(np.intp), 0, bins - 1)
    means, shares, content = [], [], []
    for index in range(bins):
        rows = place == index
        means.append(weighted_mean(score[rows], w[rows]))
        shares.append(weighted_mean(signal[rows], w[rows]))
        content.append(w[rows].sum())
    share = np.array([f.value for f in shares])
    mean = np.array([f.value for f in means])
    error = np.array([f.error for f in shares])
    known = np.isfinite(share)
    part = np.array(content)[known] / np.array(content)[known].sum()
    expected = Figure(
        float(np.sum(part * np.abs(share[known] - mean[known]))),
        float(np.sqrt(np.sum((part * error[known]) ** 2))),
        sum(f.n_eff for f in shares),
    )
    return Calibration(mean, share, error, expected)
