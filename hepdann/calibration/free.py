"""The free family: a map of each feature that may fold, smearing, and a common linear mixing.

y = c + σ A h, with h_j = (x_j - c_j + r_j B(x_j) · θ_j) / σ_j + s_j ε. B are cubic B-splines over
the range r of the MC, constant beyond it; no registered shift is a sum of these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .fitted_map import FittedMap
from .noise import Seed, noise

Floats = NDArray[np.float64]

SPLINES = 10  # of each feature
_OUTSIDE = 0.002  # share of the MC beyond the range of the splines, on either side


def splines(u: Floats, count: int) -> Floats:
    """(N, F, K) cubic B-splines of features (N, F) in units of their range, constant beyond it."""
    from scipy.interpolate import BSpline

    knots = np.concatenate([[0.0] * 3, np.linspace(0.0, 1.0, count - 2), [1.0] * 3])
    flat = np.clip(u, 0.0, 1.0).ravel()
    return np.asarray(BSpline.design_matrix(flat, knots, 3).toarray().reshape(*u.shape, count))


@dataclass(frozen=True, eq=False)
class FreeMap(FittedMap):
    """A fitted map.

    Attributes:
        centre: (F,) c, in the units of the features.
        low: (F,) where the splines begin.
        scale: (F,) their range r; 0 of a feature that never varies, and passes.
        sigma: (F,) σ.
        theta: (F, K) coefficients, in units of the range.
        smear: (F,) standard deviations of the noise, in units of σ.
        mixing: (F, F) matrix A.
    """

    centre: Floats = field(repr=False)
    low: Floats = field(repr=False)
    scale: Floats = field(repr=False)
    sigma: Floats = field(repr=False)
    theta: Floats
    smear: Floats
    mixing: Floats

    name = "free"
    letter = "c"

    def flat(self) -> Floats:
        """All parameters, one after the other."""
        return np.concatenate([self.theta.ravel(), self.smear, self.mixing.ravel()])

    @classmethod
    def identity(cls, mc: Floats, splines: int = SPLINES) -> Self:
        """The map that changes nothing, with the units of (N, F) features of MC."""
        f, sigma = mc.shape[1], mc.std(axis=0)
        low, high = np.quantile(mc, [_OUTSIDE, 1 - _OUTSIDE], axis=0)
        low, high = np.where(high > low, [low, high], [mc.min(axis=0), mc.max(axis=0)])
        return cls(
            mc.mean(axis=0), low, high - low, np.where(sigma > 0, sigma, 1.0),
            np.zeros((f, splines)), np.zeros(f), np.eye(f),
        )  # fmt: skip

    def apply(self, x: Floats, theta: Floats, seed: Seed) -> Floats:
        """Map (N, F) features; a missing value stays, and mixes as if it were at the centre."""
        ends = np.cumsum([self.theta.size, self.smear.size])
        coefficients, smear, mixing = np.split(theta, ends)
        drawn = noise(seed, 0xF4).standard_normal(x.shape)
        known = np.isfinite(x)
        value = np.where(known, x, self.centre)
        unit = np.where(self.scale > 0, self.scale, 1.0)
        basis = splines((value - self.low) / unit, self.theta.shape[1])
        moved = value + unit * np.einsum(
            "nfk,fk->nf", basis, coefficients.reshape(self.theta.shape)
        )
        h = (moved - self.centre) / self.sigma + smear * drawn
        moved = self.centre + self.sigma * (h @ mixing.reshape(self.mixing.shape).T)
        return self.kept(x, moved, self.scale > 0)
