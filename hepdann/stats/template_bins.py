"""Bin edges of a template: as much signal in each bin, or the largest expected significance."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .histograms import fill

Floats = NDArray[np.float64]

_CANDIDATES = 100  # fine bins whose edges are tried
_ENOUGH = 10.0  # effective events of background that a bin must have


def significance(signal: ArrayLike, background: ArrayLike) -> Floats:
    """Expected significance of counting experiments with a known background, Z of each.

    Source: Cowan, Cranmer, Gross and Vitells, Eur. Phys. J. C 71 (2011) 1554, equation 97.

    Args:
        signal: expected events; less than none count as none.
        background: expected events, more than none.
    """
    s, b = np.maximum(np.asarray(signal, np.float64), 0.0), np.asarray(background, np.float64)
    return np.sqrt(2.0 * np.maximum((s + b) * np.log1p(s / b) - s, 0.0))


def equal_signal_edges(
    values: ArrayLike, weight: ArrayLike, bins: int, limits: tuple[float, float]
) -> Floats:
    """Edges between which equally much signal lies.

    Args:
        values: (N,) of the signal.
        weight: (N,) event weights of either sign; the share below a value is taken as its running
            maximum.
        bins: how many; fewer where values repeat.
        limits: first and last edge.

    Returns:
        (B+1,) rising edges; only the two limits without signal between them.
    """
    x, w = np.asarray(values, np.float64), np.asarray(weight, np.float64)
    inside = (x >= limits[0]) & (x <= limits[1])
    order = np.argsort(x[inside], kind="stable")
    x, share = x[inside][order], np.maximum.accumulate(np.cumsum(w[inside][order]))
    if len(x) == 0 or not share[-1] > 0:
        return np.array(limits)
    wanted = share[-1] * np.arange(1, bins) / bins
    inner = x[np.searchsorted(share, wanted)]
    inner = inner[(inner > limits[0]) & (inner < limits[1])]
    return np.unique(np.concatenate([[limits[0]], inner, [limits[1]]]))


def significance_edges(
    values: ArrayLike,
    weight: ArrayLike,
    is_signal: ArrayLike,
    bins: int,
    limits: tuple[float, float],
) -> Floats | None:
    """Edges of the largest expected significance √ΣZ² over the bins.

    All ways to merge 100 even fine bins into so many or fewer are compared, by dynamic programming.

    Args:
        values: (N,) of signal and background.
        weight: (N,) event weights, which add up to the expected events.
        is_signal: (N,) whether an event is signal.
        bins: how many, at most; one that has less than 10 effective events of background, or no
            positive sum of it, is not allowed.
        limits: first and last edge.

    Returns:
        (B+1,) rising edges; ``None`` where even a single bin is not allowed.
    """
    fine = np.linspace(*limits, _CANDIDATES + 1)
    background, signal = fill(values, weight, fine, np.asarray(is_signal, np.int64), 2)
    s, b, b2 = (
        np.concatenate([[0.0], np.cumsum(part)])
        for part in (signal.sumw, background.sumw, background.sumw2)
    )
    span = [np.subtract.outer(total, total).T for total in (s, b, b2)]  # [start, end]
    allowed = (span[1] > 0) & (span[1] ** 2 >= _ENOUGH * span[2]) & (span[2] > 0)
    gain = np.full(allowed.shape, -np.inf)
    gain[allowed] = significance(span[0][allowed], span[1][allowed]) ** 2
    best, starts = [gain[0]], []
    for _ in range(bins - 1):
        total = best[-1][:, None] + gain
        starts.append(total.argmax(axis=0))
        best.append(total.max(axis=0))
    count = int(np.argmax([row[-1] for row in best]))
    if not np.isfinite(best[count][-1]):
        return None
    edges = [_CANDIDATES]
    for index in reversed(range(count)):
        edges.append(int(starts[index][edges[-1]]))
    return fine[[0, *reversed(edges)]]
