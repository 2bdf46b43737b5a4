"""A bump over a smooth spectrum: a fit of the sidebands, and the count between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import HepdannError

Floats = NDArray[np.float64]

_STEPS = 100  # of Newton's method
_SMALL = 1e-10  # change of the parameters that ends it


@dataclass(frozen=True, eq=False)
class Bump:
    """What a fit of the sidebands says of the signal region.

    Attributes:
        observed: events in the signal region; ``expected`` by the fit, with the fit's ``error``.
        significance: of the excess, in standard deviations; negative of a deficit.
        chi2: of the fit over its degrees of freedom; NaN without any.
        edges: (B + 1,) of all bins; ``counts`` and ``fitted`` are (B,), ``inside`` says which are
            in the signal region.
    """

    observed: int
    expected: float
    error: float
    significance: float
    chi2: float
    edges: Floats
    counts: Floats
    fitted: Floats
    inside: NDArray[np.bool_]


def counting_significance(observed: float, expected: float, error: float) -> float:
    """Significance of a count over a background that is known with a Gaussian error.

    Cousins, Linnemann & Tucker, NIM A 595 (2008) 480, eq. (25) as the profile likelihood ratio of
    Li & Ma (1983), with τ = expected / error²; negative of a deficit.
    """
    if not expected > 0:
        return float("nan")
    n, b, variance = float(observed), expected, max(error, 1e-9 * expected) ** 2
    first = n * math.log(n * (b + variance) / (b * b + n * variance)) if n > 0 else 0.0
    second = b * b / variance * math.log1p(variance * (n - b) / (b * (b + variance)))
    return math.copysign(math.sqrt(max(0.0, 2 * (first - second))), n - b)


def find_bump(
    values: Floats,
    region: tuple[float, float],
    window: tuple[float, float],
    *,
    bins: int = 30,
    order: int = 2,
) -> Bump:
    """Fit exp(polynomial) to the bins outside the signal region, by their Poisson likelihood.

    ``window`` reaches from the lower end of the sidebands to the upper; ``bins`` is the number of
    bins of the sidebands, and those of the signal region have about the same width.

    Raises:
        HepdannError: the region is not inside the window, or too few bins hold events.
    """
    low, high, first, last = *window, *region
    if not low < first < last < high:
        raise HepdannError(f"the region {first:g} to {last:g} is not within {low:g} to {high:g}")
    width = (high - low - (last - first)) / bins
    spans = ((low, first), (first, last), (last, high))
    parts = [np.linspace(a, b, max(1, round((b - a) / width)) + 1) for a, b in spans]
    edges = np.concatenate([parts[0], parts[1][1:], parts[2][1:]])
    middle, size = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    inside = (middle > first) & (middle < last)
    counts = np.histogram(values, edges)[0].astype(np.float64)
    sides = ~inside
    if (counts[sides] > 0).sum() <= order + 1:
        raise HepdannError(f"{int(counts[sides].sum())} events in the sidebands are too few to fit")
    terms = np.polynomial.chebyshev.chebvander(2 * (middle - low) / (high - low) - 1, order)
    beta, covariance = _fit(terms[sides], counts[sides], size[sides])
    fitted = size * np.exp(terms @ beta)
    slope = (fitted[inside, None] * terms[inside]).sum(axis=0)
    expected = float(fitted[inside].sum())
    error = float(np.sqrt(slope @ covariance @ slope))
    observed = int(counts[inside].sum())
    free = int(sides.sum()) - order - 1
    pull = (counts[sides] - fitted[sides]) ** 2 / fitted[sides]
    return Bump(
        observed,
        expected,
        error,
        counting_significance(observed, expected, error),
        float(pull.sum() / free) if free > 0 else float("nan"),
        edges,
        counts,
        fitted,
        inside,
    )


def _fit(
    terms: Floats, counts: Floats, size: Floats
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parameters of largest Poisson likelihood of ``size · exp(terms β)``, and their covariance."""
    beta = np.zeros(terms.shape[1])
    beta[0] = np.log(counts.sum() / size.sum())
    for _ in range(_STEPS):
        mean = size * np.exp(np.clip(terms @ beta, -50, 50))
        curvature = terms.T @ (mean[:, None] * terms)
        step = np.linalg.lstsq(curvature, terms.T @ (counts - mean), rcond=None)[0]
        beta = beta + np.clip(step, -1, 1)
        if np.abs(step).max() < _SMALL:
            break
    mean = size * np.exp(np.clip(terms @ beta, -50, 50))
    covariance = np.linalg.pinv(terms.T @ (mean[:, None] * terms))
    return beta, np.asarray(covariance, dtype=np.float64)
