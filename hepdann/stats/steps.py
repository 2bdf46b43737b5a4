"""The steps of a discrete quantity, and values that stand where there is none."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["steps", "without_sentinels"]

Floats = NDArray[np.float64]

_SAMPLE = 2000  # events that are looked at; steps stand out long before
_FEW = 200  # distinct values of a quantity that is discrete without doubt
_CYCLES = np.arange(3.0, 60.0, 0.25)  # steps in the range of a quantity that blurs them
_POWER, _PROMINENCE = 40.0, 12.0  # of a period; 1 is what events without one have
_GAP = 0.25  # of the range of all other values, between them and a sentinel


def steps(values: ArrayLike) -> tuple[float, float] | None:
    """The distance of the steps that a quantity takes, and the place of one of them.

    Few distinct values that lie on a grid are steps; so are the teeth of a comb, such as a
    multiplicity that was scaled and blurred, which stand out in the periodogram (Schuster, Terr.
    Magn. 3 (1898) 13).

    Args:
        values: (N,) finite.

    Returns:
        Width and place, or ``None`` for a continuous quantity.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[:: max(len(x) // _SAMPLE, 1)]
    distinct = np.unique(x)
    if len(distinct) < 2:
        return None
    if len(distinct) <= min(_FEW, len(x) // 4):
        gaps = np.diff(distinct)
        count = gaps / gaps.min()
        if np.abs(count - np.round(count)).max() < 0.01:
            return float(gaps.min()), float(distinct[0])
    return _period(x) if len(x) >= _FEW else None


def _period(x: Floats) -> tuple[float, float] | None:
    from scipy.ndimage import median_filter

    low, high = np.quantile(x, [0.005, 0.995])
    x = x[(x >= low) & (x <= high)]
    if not high > low:
        return None
    frequency = _CYCLES / (high - low)
    power = np.abs(_transform(x, frequency)) ** 2 / len(x)
    level = median_filter(power, size=41, mode="nearest")
    stands_out = (power > _POWER) & (power > _PROMINENCE * level)
    if not stands_out.any():
        return None
    # sharp teeth have overtones: the lowest strong frequency is that of the steps
    strong = np.flatnonzero(stands_out & (power > 0.3 * power[stands_out].max()))
    first = int(strong[0])
    nearby = slice(max(first - 3, 0), first + 4)
    peak = frequency[nearby][int(np.argmax(power[nearby]))]
    fine = peak + np.linspace(-0.25, 0.25, 51) / (high - low)
    found = _transform(x, fine)
    best = int(np.argmax(np.abs(found)))
    return float(1 / fine[best]), float(np.angle(found[best]) / (2 * np.pi * fine[best]))


def _transform(x: Floats, frequency: Floats) -> NDArray[np.complex128]:
    return np.asarray(np.exp(2j * np.pi * np.outer(frequency, x)).sum(axis=1))


def without_sentinels(mc: ArrayLike, *others: ArrayLike) -> tuple[list[Floats], tuple[float, ...]]:
    """Take out a value that stands for "there is none", such as -1 of a quantity from 0 to 1.

    It is the smallest or the largest in MC, several events have it exactly, and it is far from all
    others, which would otherwise crowd together on an axis. A shift may have moved it elsewhere in
    another sample; where MC has none, no sample has.

    Args:
        mc: (N,); NaN and ±inf stay as they are.
        *others: (M,) each, the same quantity in other samples.

    Returns:
        All samples, NaN where a value was a sentinel, and the sentinels.
    """
    first = np.array(mc, dtype=np.float64)
    found = _sentinels(first)
    samples = [np.array(values, dtype=np.float64) for values in others]
    for x in samples if found else ():
        found += _sentinels(x)
    for x in (first, *samples) if found else ():
        x[np.isin(x, found)] = np.nan
    return [first, *samples], tuple(dict.fromkeys(found))


def _sentinels(x: Floats) -> list[float]:
    known = x[np.isfinite(x)]
    ends = (float(known.min()), float(known.max())) if len(known) else ()
    return [
        value
        for value in ends
        if _is_sentinel(value, known[~np.isin(known, ends) | (known == value)])
    ]


def _is_sentinel(value: float, x: Floats) -> bool:
    distance = np.abs(x[x != value] - value)
    if len(x) - len(distance) < 3 or len(distance) < 100:
        return False
    gap = float(distance.min())
    far = float(np.quantile(distance, 0.99))
    if gap <= _GAP * (far - gap):
        return False
    distance = distance[distance <= far]
    others = np.unique(distance[:: max(len(distance) // _SAMPLE, 1)])
    return len(others) >= 10 and gap > 5 * float(np.diff(others).max())
