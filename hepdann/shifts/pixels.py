"""Shifts of images: pure functions of hits, t and draws.

Larger t is a smaller shift, and t = ∞ is none. Every random number belongs to an event and a place
in the detector, not to a turn: blocks of any size, rows in any order and events read twice give the
same images. A dead channel is dead in every event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..tensors import mix64

Reals = NDArray[np.float64]
Keys = NDArray[np.uint64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_OTHER = np.uint64(0xD1B54A32D192ED03)


@dataclass(frozen=True, eq=False)
class PixelHits:
    """The pixels of some events that are not 0, as one row each.

    Attributes:
        energy: (n,) in the units that were converted, whatever was done to them afterwards.
        event: (n,) identity of the event.
        place: (n,) identity of the strip in its plane and view.
    """

    energy: Reals
    event: Keys
    place: Keys


@dataclass(frozen=True)
class Draws:
    """Random numbers by name: the same keys give the same numbers.

    Attributes:
        seed: another one gives others.
    """

    seed: int

    def uniform(self, *keys: Keys) -> Reals:
        """Uniform in (0, 1), one for each row of the keys."""
        return ((self._bits(keys) >> np.uint64(11)) + np.float64(0.5)) * 2.0**-53

    def normal(self, *keys: Keys) -> Reals:
        """Gaussian of mean 0 and width 1 (Box and Muller, Ann. Math. Stat. 29 (1958) 610)."""
        other = np.full(len(keys[0]), _OTHER)
        radius = np.sqrt(-2 * np.log(self.uniform(*keys)))
        return np.asarray(radius * np.cos(2 * np.pi * self.uniform(*keys, other)))

    def _bits(self, keys: tuple[Keys, ...]) -> Keys:
        bits = np.full(len(keys[0]), self.seed & (2**64 - 1), np.uint64)
        for key in keys:
            bits = mix64((bits ^ key) + _GAMMA)
        return bits


def energy_scale(hits: PixelHits, t: float, draws: Draws) -> Reals:  # noqa: ARG001
    """Every energy × (1 + 1/t): the calibration is off."""
    return hits.energy * (1 + 1 / t)


def energy_smear(hits: PixelHits, t: float, draws: Draws) -> Reals:
    """Every energy × (1 + N(0, 1)/t), one draw a hit; what would be negative is no hit."""
    factor = 1 + draws.normal(hits.event, hits.place) / t
    return np.asarray(hits.energy * np.maximum(factor, 0))


def dead_channels(hits: PixelHits, t: float, draws: Draws) -> Reals:
    """A share 1/t of all strips sees nothing, in no event."""
    return np.where(draws.uniform(hits.place) < 1 / t, 0.0, hits.energy)
