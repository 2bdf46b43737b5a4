"""The arithmetic of a small network in compiled loops, on blocks of a few hundred events.

A block is an array (rows, TILE), feature-major: one row an activation, one column an event, small
enough to stay in a core's cache from the first layer to the last. Only its first ``n`` columns
hold events. Each loop runs along a row, so that the compiler makes vector instructions of it; two
rows of the result and four rows of the input share one pass, which keeps the arithmetic units
busier than the memory. Sums may be taken in any order (``reassoc``), the same one in every run;
not-a-number stays what it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "TILE",
    "Real",
    "compiled",
    "cross_entropy",
    "fill",
    "logistic",
    "multiply_add",
    "outer_add",
    "rectify",
    "rectify_slope",
    "series",
]

TILE = 256
Real = NDArray[Any]  # float32 or float64, the same throughout a training
_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile by Numba at the first call; the machine code is kept on disk.

    Numba notices a change of the file that a function stands in, but not of those that it calls
    in other files: who edits one of these modules removes the ``*.nbi`` beside them.
    """
    allowed = {"reassoc", "contract", "nsz"}
    make = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=allowed)
    return cast(_Function, make(function))


@compiled
def multiply_add(
    weight: Real,
    strides: tuple[int, int],
    factor: float,
    x: Real,
    y: Real,
    spare: Real,
    n: int,
) -> None:
    """``y += factor W x``.

    Args:
        weight: the elements of W; ``W[o, i]`` is ``weight[o * strides[0] + i * strides[1]]``.
        strides: so that W and its transpose are the same memory.
        factor: on all of it.
        x: (in, TILE).
        y: (out, TILE).
        spare: (TILE,) stands in for the missing row where ``out`` is odd.
        n: events.
    """
    outputs, inputs, (down, along) = len(y), len(x), strides
    zero, factor = weight.dtype.type(0), weight.dtype.type(factor)
    for o in range(0, outputs, 2):
        two = o + 1 < outputs
        ya, yb = y[o], y[o + 1] if two else spare
        row_a, row_b = o * down, (o + 1 if two else o) * down
        for i in range(0, inputs, 4):
            a0, b0 = factor * weight[row_a + i * along], factor * weight[row_b + i * along]
            a1 = a2 = a3 = b1 = b2 = b3 = zero
            x1 = x2 = x3 = x0 = x[i]  # beyond the last input a row comes again, with weight zero
            if i + 1 < inputs:
                x1, at = x[i + 1], (i + 1) * along
                a1, b1 = factor * weight[row_a + at], factor * weight[row_b + at]
            if i + 2 < inputs:
                x2, at = x[i + 2], (i + 2) * along
                a2, b2 = factor * weight[row_a + at], factor * weight[row_b + at]
            if i + 3 < inputs:
                x3, at = x[i + 3], (i + 3) * along
                a3, b3 = factor * weight[row_a + at], factor * weight[row_b + at]
            for t in range(n):
                ya[t] = ya[t] + a0 * x0[t] + a1 * x1[t] + a2 * x2[t] + a3 * x3[t]
                yb[t] = yb[t] + b0 * x0[t] + b1 * x1[t] + b2 * x2[t] + b3 * x3[t]


@compiled
def outer_add(slope: Real, x: Real, weight: Real, bias: Real, n: int) -> None:
    """Add a block's share to the gradients of a layer: ``W += δ xᵀ``, ``b += Σ δ``.

    Args:
        slope: (out, TILE) δ, the gradient of the loss at the layer's output.
        x: (in, TILE) the layer's input.
        weight: (out * in,) gradient.
        bias: (out,) gradient, or (0,) where the layer has none.
        n: events.
    """
    outputs, inputs = len(slope), len(x)
    zero = weight.dtype.type(0)
    for o in range(0, outputs, 2):
        p = min(o + 1, outputs - 1)
        da, db = slope[o], slope[p]
        for i in range(0, inputs, 4):
            i1, i2, i3 = min(i + 1, inputs - 1), min(i + 2, inputs - 1), min(i + 3, inputs - 1)
            x0, x1, x2, x3 = x[i], x[i1], x[i2], x[i3]
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = zero
            for t in range(n):
                a0 += da[t] * x0[t]
                a1 += da[t] * x1[t]
                a2 += da[t] * x2[t]
                a3 += da[t] * x3[t]
                b0 += db[t] * x0[t]
                b1 += db[t] * x1[t]
                b2 += db[t] * x2[t]
                b3 += db[t] * x3[t]
            sums_a, sums_b = (a0, a1, a2, a3), (b0, b1, b2, b3)
            for j in range(min(4, inputs - i)):
                weight[o * inputs + i + j] += sums_a[j]
                if p > o:
                    weight[p * inputs + i + j] += sums_b[j]
    for o in range(len(bias)):
        total, row = zero, slope[o]
        for t in range(n):
            total += row[t]
        bias[o] += total


@compiled
def fill(row: Real, value: float, n: int) -> None:
    """Set the first ``n`` elements."""
    some = row.dtype.type(value)
    for t in range(n):
        row[t] = some


@compiled
def rectify(y: Real, n: int) -> None:
    """ReLU in place, of the rows of ``y``."""
    zero = y.dtype.type(0)
    for o in range(len(y)):
        row = y[o]
        for t in range(n):
            row[t] = zero if row[t] <= zero else row[t]


@compiled
def rectify_slope(y: Real, slope: Real, n: int) -> None:
    """The gradient before a ReLU from that behind it, in place; ``y`` is the ReLU's output."""
    zero = y.dtype.type(0)
    for o in range(len(y)):
        row, delta = y[o], slope[o]
        for t in range(n):
            delta[t] = zero if row[t] <= zero else delta[t]


def series(dtype: np.dtype[Any]) -> tuple[Real, Real]:
    """Coefficients, highest power first, of the two series that :func:`logistic` sums.

    Returns:
        ``exp(r)`` for |r| ≤ ln 2 / 2, and ``artanh(s) / s`` in s² ≤ 1/9, to the precision of
        ``dtype``.
    """
    long = dtype == np.float64
    powers = [1 / math.factorial(j) for j in range(14 if long else 8)]
    odd = [1 / (2 * j + 1) for j in range(17 if long else 8)]
    return np.array(powers[::-1], dtype), np.array(odd[::-1], dtype)


@compiled
def _sum_series(coefficients: Real, x: Real, out: Real, n: int) -> None:
    fill(out, coefficients[0], n)
    for j in range(1, len(coefficients)):
        c = coefficients[j]
        for t in range(n):
            out[t] = out[t] * x[t] + c


@compiled
def logistic(
    z: Real,
    target: Real,
    weight: Real,
    slope: Real,
    rows: Real,
    bits: NDArray[Any],
    exp: Real,
    artanh: Real,
    n: int,
) -> float:
    """Weighted cross entropy of logits, ``Σ w (max(z, 0) - z y + ln(1 + e^-|z|))``.

    ``e^-|z| = 2^-k e^r`` with ``r = k ln 2 - |z|``; ``ln(1 + e) = 2 artanh(e / (2 + e))``. Both by
    series, because the compiler has no vector instructions for the functions themselves.

    Args:
        z: (TILE,) logits.
        target: (TILE,) y, 0 or 1.
        weight: (TILE,) w.
        slope: (TILE,) receives the gradient, ``w (1 / (1 + e^-z) - y)``.
        rows: (4, TILE) to work in.
        bits: (TILE,) the last of these rows as integers of the same size.
        exp: coefficients of :func:`series`.
        artanh: likewise.
        n: events.
    """
    real, whole = z.dtype.type, bits.dtype.type
    narrow = z.itemsize == 4
    most = real(80) if narrow else real(700)
    offset, shift = (whole(127), whole(23)) if narrow else (whole(1023), whole(52))
    zero, half, one, two = real(0), real(0.5), real(1), real(2)
    log2e, ln2 = real(1 / math.log(2)), real(math.log(2))
    r, e, s, scale = rows[0], rows[1], rows[2], rows[3]
    for t in range(n):
        size = abs(z[t])
        size = most if size > most else size
        k = whole(size * log2e + half)
        r[t] = real(k) * ln2 - size
        bits[t] = (offset - k) << shift
    _sum_series(exp, r, e, n)
    for t in range(n):
        e[t] *= scale[t]
        s[t] = e[t] / (two + e[t])
        r[t] = s[t] * s[t]
        share = one / (one + e[t])
        slope[t] = weight[t] * ((share if z[t] > zero else e[t] * share) - target[t])
    _sum_series(artanh, r, e, n)
    total = zero
    for t in range(n):
        above = zero if z[t] <= zero else z[t]
        total += weight[t] * (above - z[t] * target[t] + two * s[t] * e[t])
    return float(total)


@compiled
def cross_entropy(z: Real, label: NDArray[Any], weight: Real, slope: Real, n: int) -> float:
    """Weighted cross entropy of a softmax over the rows of ``z``, ``Σ w (ln Σ e^z - z_y)``.

    Args:
        z: (C, TILE) logits.
        label: (n,) class index.
        weight: (TILE,) w.
        slope: (C, TILE) receives the gradient.
        n: events.
    """
    total = 0.0
    for t in range(n):
        largest = z[0, t]
        for c in range(1, len(z)):
            largest = max(largest, z[c, t])
        norm = z.dtype.type(0)
        for c in range(len(z)):
            slope[c, t] = math.exp(z[c, t] - largest)
            norm += slope[c, t]
        for c in range(len(z)):
            slope[c, t] *= weight[t] / norm
        y = label[t]
        slope[y, t] -= weight[t]
        total += weight[t] * (math.log(norm) + largest - z[y, t])
    return total
