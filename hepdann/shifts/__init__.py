"""f_i(t): distortions that turn MC into pseudo-data.

shift = hepdann.shifts.sine(t=3).fit(features_of_the_mc_training_split)
shifted = shift.apply(features, np.random.default_rng(1))
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConfigError
from .fitting import Composition, FittedShift, Shift, Step
from .noise import Draws
from .registry import ObjectRows, PixelHits, detector, names, register

__all__ = [
    "Composition", "Draws", "FittedShift", "ObjectRows", "PixelHits", "Shift", "Step", "compose",
    "cosine", "dead_channels", "dead_region", "detector", "energy_scale", "energy_smear",
    "gaussian", "get", "identity", "missing_objects", "names", "pt_scale", "register", "sine",
    "sine_cubed", "sine_fifth", "sine_third",
]  # fmt: skip


def get(
    name: str, t: float | Sequence[float], *, quantile: float | Sequence[float] = 1.0
) -> Shift | Composition:
    """The shift of that name and t.

    Args:
        name: one of :func:`names`, or several joined with ``+`` (``sine+gaussian``), which act
            from left to right.
        t: of the shift; larger t is a smaller shift. One for all, or one for each.
        quantile: the scale s is this quantile of |x|; 1 is the maximum. Likewise.

    Returns:
        A :class:`Shift`, or a :class:`Composition` where there are several.

    Raises:
        ConfigError: unknown name (the nearest is given), t not positive, or not one for each.
    """
    names = name.split("+")
    settings = zip(names, _each("t", t, names), _each("quantile", quantile, names), strict=True)
    parts = [Shift(*one) for one in settings]
    return parts[0] if len(parts) == 1 else Composition(tuple(parts))


def _each(what: str, value: float | Sequence[float], names: list[str]) -> Sequence[float]:
    if not isinstance(value, Sequence):
        return [value] * len(names)
    if len(value) != len(names):
        raise ConfigError(
            f"{len(value)} values for the {len(names)} shifts of {'+'.join(names)}",
            where=what,
            mend="give one for all, or one for each",
        )
    return value


def compose(*shifts: Shift | Composition) -> Composition:
    """Several shifts as one, the first one first.

    Raises:
        ValueError: nothing to compose.
    """
    if not shifts:
        raise ValueError("compose needs at least one shift")
    parts = (part.shifts if isinstance(part, Composition) else (part,) for part in shifts)
    return Composition(tuple(shift for group in parts for shift in group))


def sine(t: float, *, quantile: float = 1.0) -> Shift:
    """f₁: x̂ + (1/t) sin(2πx̂) and the detector term."""
    return Shift("sine", t, quantile)


def sine_third(t: float, *, quantile: float = 1.0) -> Shift:
    """f₂: x̂ + (1/3t) sin(2πx̂) and the detector term."""
    return Shift("sine-third", t, quantile)


def sine_cubed(t: float, *, quantile: float = 1.0) -> Shift:
    """f₃ as the original study drew it: x̂ + (1/t) sin³(2πx̂) and the detector term."""
    return Shift("sine-cubed", t, quantile)


def sine_fifth(t: float, *, quantile: float = 1.0) -> Shift:
    """f₃ as the original study coded it: x̂ + (1/t) sin⁵(2πx̂) and the detector term."""
    return Shift("sine-fifth", t, quantile)


def cosine(t: float, *, quantile: float = 1.0) -> Shift:
    """x̂ + (1/t) cos(2πx̂) and the detector term."""
    return Shift("cosine", t, quantile)


def gaussian(t: float, *, quantile: float = 1.0) -> Shift:
    """(1 + U(0,1)/t) x + N(0, σ_x/t), on x itself; ``quantile`` has no part in it."""
    return Shift("gaussian", t, quantile)


def identity(t: float = float("inf"), *, quantile: float = 1.0) -> Shift:
    """f₄: no shift, whatever t is."""
    return Shift("identity", t, quantile)


def energy_scale(t: float) -> Shift:
    """Of images: every energy × (1 + 1/t)."""
    return Shift("energy-scale", t)


def energy_smear(t: float) -> Shift:
    """Of images: every energy × (1 + N(0, 1)/t), never below 0."""
    return Shift("energy-smear", t)


def dead_channels(t: float) -> Shift:
    """Of images: a share 1/t of all strips sees nothing."""
    return Shift("dead-channels", t)


def missing_objects(t: float) -> Shift:
    """Of objects: a share 1/t of them is lost."""
    return Shift("missing-objects", t)


def pt_scale(t: float) -> Shift:
    """Of objects: every p_T × (1 + 1/t)."""
    return Shift("pt-scale", t)


def dead_region(t: float) -> Shift:
    """Of objects: none is seen in a share 1/t of the circle in φ."""
    return Shift("dead-region", t)
