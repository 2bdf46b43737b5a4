"""The shifts f_i(t) themselves: pure functions of (x, t, generator).

Larger t is a smaller shift, and t = ∞ is none. All but :func:`gaussian` act on ``x̂ = x / s``, each
feature in units of its scale s, and end with the :func:`detector` term. Arrays are (N, F) float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def detector(shifted: Array, x: Array, t: float, generator: np.random.Generator) -> Array:
    """The detector term common to the sine family: y (1 + 1/t) + N(0, |x̂|/(25 t)).

    Args:
        shifted: y, the features after a map.
        x: x̂, the features before it; they set the width of the smearing.
        t: of the shift.
        generator: source of the smearing.

    Returns:
        Features in the units of ``shifted``.
    """
    noise = generator.standard_normal(x.shape)
    return shifted * (1 + 1 / t) + noise * (np.abs(x) / (25 * t))


def identity(x: Array, t: float, generator: np.random.Generator) -> Array:  # noqa: ARG001
    """f₄: nothing happens, for every t and without a detector term."""
    return x


def sine(x: Array, t: float, generator: np.random.Generator) -> Array:
    """f₁: x̂ + (1/t) sin(2πx̂), then the detector term."""
    return detector(x + np.sin(2 * np.pi * x) / t, x, t, generator)


def sine_third(x: Array, t: float, generator: np.random.Generator) -> Array:
    """f₂: x̂ + (1/3t) sin(2πx̂), then the detector term."""
    return detector(x + np.sin(2 * np.pi * x) / (3 * t), x, t, generator)


def sine_cubed(x: Array, t: float, generator: np.random.Generator) -> Array:
    """f₃ as the original study drew it: x̂ + (1/t) sin³(2πx̂), then the detector term."""
    return detector(x + np.sin(2 * np.pi * x) ** 3 / t, x, t, generator)


def sine_fifth(x: Array, t: float, generator: np.random.Generator) -> Array:
    """f₃ as the original study coded it: x̂ + (1/t) sin⁵(2πx̂), then the detector term."""
    return detector(x + np.sin(2 * np.pi * x) ** 5 / t, x, t, generator)


def cosine(x: Array, t: float, generator: np.random.Generator) -> Array:
    """x̂ + (1/t) cos(2πx̂), then the detector term; it folds the inputs for t below 2π."""
    return detector(x + np.cos(2 * np.pi * x) / t, x, t, generator)


def gaussian(x: Array, t: float, generator: np.random.Generator, sigma: Array) -> Array:
    """(1 + U(0,1)/t) x + N(0, σ_x/t), on x itself; one draw an entry.

    Args:
        x: features as they are stored.
        t: of the shift.
        generator: source of U and N.
        sigma: (F,) standard deviation σ_x of each feature over the MC training split.

    Returns:
        Features in the units of ``x``.
    """
    scaled = x * (1 + generator.random(x.shape) / t)
    return scaled + generator.standard_normal(x.shape) * (sigma / t)
