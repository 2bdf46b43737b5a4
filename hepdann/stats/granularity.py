"""Two samples at one granularity: what differs only in how numbers were stored is no shift.

A classifier separates rounded values from unrounded ones almost perfectly, although no physics
distinguishes them: of jets stored with four decimals, a smearing by 2 % of σ is "detected" with an
AUC of .98. Before samples are compared, each feature is therefore

1. rounded to the coarser of the two samples' rounding steps, the finer sample after a uniform
   dither of its own step, so that its lattice does not beat with the coarser one;
2. blurred in both samples by a Gaussian of ``RESOLUTION`` times the feature's width, which melts
   what rounding leaves: spikes at a default value, hard bounds, lattices that are no multiples.
   The width of a spike, and of one that was smeared a little, is that of all values: a millionth
   of σ distinguishes no physics.

The test then asks for differences that are wider than this resolution. Rounding and blurring are
the same for both samples, so a test of samples that do not differ stays exact.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .figure import Floats

RESOLUTION = 0.1
_SPIKE = 2e-4  # of σ; where the central 68 % are narrower, they are one value
_FLOAT32 = float(np.finfo(np.float32).eps)
_SAMPLE = 4000  # values that are looked at to find a lattice
_TEETH = 2000  # values that show the teeth of a comb
_FEW = 200  # distinct values of a quantity that is discrete without doubt
_CYCLES = np.arange(3.0, 60.0, 0.25)  # steps in the range of a quantity that blurs them
_POWER, _PROMINENCE = 40.0, 12.0  # of a period; 1 is what events without one have
_GAP = 0.25  # of the range of all other values, between them and a sentinel


def common_granularity(
    mc: NDArray[np.floating], target: NDArray[np.floating], generator: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Bring both samples to the coarser granularity of the two, feature by feature.

    Returns:
        The two samples, float64, and (F,) the finest difference that is left of each feature: the
        rounding step or the blur, whichever is larger. NaN stays.
    """
    # columns lie together in memory: strides would make many of them slower than in proportion
    first, second = (np.array(x, dtype=np.float64, order="F") for x in (mc, target))
    finest = np.zeros(first.shape[1])
    for i in range(first.shape[1]):
        columns = (first[:, i], second[:, i])
        grids = [lattice(column) for column in columns]
        step, origin = max(grids)
        blur = RESOLUTION * max(width(columns[0]), _width_of_spike(columns[1]))
        for column, (rounding, _) in zip(columns, grids, strict=True):
            if rounding < step:
                column += rounding * generator.uniform(-0.5, 0.5, len(column))
                column[:] = origin + step * np.round((column - origin) / step)
            column += blur * generator.standard_normal(len(column))
        finest[i] = max(step, blur)
    return first, second, finest


def width(values: Floats) -> float:
    """Half the central 68 % range, which no tail inflates; σ where that is a spike."""
    return _width_of_spike(values) or _half_range(values)


def _width_of_spike(values: Floats) -> float:
    """σ where most values are one value; 0 otherwise."""
    sigma = float(values[np.isfinite(values)].std()) if np.isfinite(values).any() else 0.0
    return sigma if _half_range(values) <= _SPIKE * sigma else 0.0


def _half_range(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return 0.0
    low, high = np.quantile(finite, [0.16, 0.84])
    return float(0.5 * (high - low))


def lattice(values: Floats) -> tuple[float, float]:
    """The step to which values were rounded, and one point of the lattice.

    Decimal steps 1, 2 and 5 × 10ᵏ through zero are tried first, coarsest first; then the smallest
    gap between values, which finds digits that were scaled or shifted afterwards. The step is 0
    where the values are continuous, to float32's precision.
    """
    finite = values[np.isfinite(values)][:: max(1, len(values) // _SAMPLE)]
    unique = np.unique(finite)
    if len(unique) < 2:
        return 0.0, 0.0
    largest = float(np.abs(unique).max())
    top = math.floor(math.log10(largest))
    for power in range(top, top - 7, -1):
        for digit in (5.0, 2.0, 1.0):
            step = digit * 10.0**power
            if _on_lattice(finite, step, 0.0):
                return step, 0.0
    step = _smallest_gap(unique)
    origin = float(unique[0])
    return (step, origin) if step > 0 and _on_lattice(finite, step, origin) else (0.0, 0.0)


def _on_lattice(values: Floats, step: float, origin: float) -> bool:
    """Whether 99.5 % of the values are origin + integer × step, as well as float32 can tell."""
    index = (values - origin) / step
    tolerance = 1e-3 + 4.0 * _FLOAT32 * float(np.abs(values).max()) / step
    if tolerance > 0.05:
        return False
    return float(np.mean(np.abs(index - np.round(index)) <= tolerance)) >= 0.995


def _smallest_gap(unique: Floats) -> float:
    """The smallest gap, refined over ever longer distances: its float error grows with them."""
    offset = unique - unique[0]
    gaps = np.diff(unique)
    step = float(gaps[gaps > 16.0 * _FLOAT32 * np.abs(unique).max()].min(initial=np.inf))
    if not math.isfinite(step):
        return 0.0
    reach = 2.0 * step
    while reach < 2.0 * offset[-1]:
        near = offset[offset <= reach]
        index = np.round(near / step)
        if (index > 0).any():
            step = float(np.sum(index * near) / np.sum(index**2))
        reach *= 2.0
    return step


def steps(values: ArrayLike) -> tuple[float, float] | None:
    """The distance of the steps that a quantity takes, and the place of one; ``None`` without.

    Few distinct values that lie on a grid are steps; so are the teeth of a comb, such as a
    multiplicity that was scaled and blurred, which stand out in the periodogram (Schuster, Terr.
    Magn. 3 (1898) 13). All values are finite.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[:: max(len(x) // _TEETH, 1)]
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
    amplitude = _transform(x, fine)
    best = int(np.argmax(np.abs(amplitude)))
    return float(1 / fine[best]), float(np.angle(amplitude[best]) / (2 * np.pi * fine[best]))


def _transform(x: Floats, frequency: Floats) -> NDArray[np.complex128]:
    return np.asarray(np.exp(2j * np.pi * np.outer(frequency, x)).sum(axis=1))


def without_sentinels(mc: ArrayLike, *others: ArrayLike) -> tuple[list[Floats], tuple[float, ...]]:
    """Take out a value that stands for "there is none", such as -1 of a quantity from 0 to 1.

    It is the smallest or the largest in MC, several events have it exactly, and it is far from all
    others, which would otherwise crowd together on an axis. A shift may have moved it elsewhere in
    another sample; where MC has none, no sample has.

    Returns:
        All samples, NaN where a value was a sentinel, and the sentinels.
    """
    first = np.array(mc, dtype=np.float64)
    sentinels = _sentinels(first)
    samples = [np.array(values, dtype=np.float64) for values in others]
    for x in samples if sentinels else ():
        sentinels += _sentinels(x)
    for x in (first, *samples) if sentinels else ():
        x[np.isin(x, sentinels)] = np.nan
    return [first, *samples], tuple(dict.fromkeys(sentinels))


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
    others = np.unique(distance[:: max(len(distance) // _TEETH, 1)])
    return len(others) >= 10 and gap > 5 * float(np.diff(others).max())
