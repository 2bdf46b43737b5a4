"""The refiner: a residual network with noise that maps MC to data, fitted against a critic.

In the way of Shrivastava et al., arXiv:1612.07828, with the critic of a WGAN with gradient penalty.
Weights, of either sign, and labels are those of the MC.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..alignment.adversary import AdversaryOptions, fit_stack
from ..shifts.noise import Seed, noise
from ..tensors import Source, Target
from .families import FittedMap
from .free_fit import shared_values

Floats = NDArray[np.float64]

_OPTIONS = AdversaryOptions(
    steps=3000, batch_size=2048, critic_steps=3, residual=32, noise=2,
    wasserstein=True, ema=0.998,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class RefinerMap(FittedMap):
    """y = c + σ (A z + b + V tanh(U (z, ε) + d)), with z = (x - c) / σ and ε ~ N(0, 1).

    Attributes:
        centre: (F,) c, in the units of the features.
        sigma: (F,) σ; 0 of a feature that never varies, and passes.
        matrix: (F, F) A.
        offset: (F,) b.
        inner: (R, F + noise) U.
        bias: (R,) d.
        outer: (F, R) V.
    """

    centre: Floats = field(repr=False)
    sigma: Floats = field(repr=False)
    matrix: Floats = field(repr=False)
    offset: Floats = field(repr=False)
    inner: Floats = field(repr=False)
    bias: Floats = field(repr=False)
    outer: Floats = field(repr=False)

    name = "refiner"
    letter = "w"

    def flat(self) -> Floats:
        """All parameters, one after the other."""
        parts = (self.matrix, self.offset, self.inner, self.bias, self.outer)
        return np.concatenate([part.ravel() for part in parts])

    def apply(self, x: Floats, theta: Floats, seed: Seed) -> Floats:  # noqa: ARG002
        """Map (N, F) features; a missing value stays, and mixes as if it were at the centre."""
        drawn = noise(seed, 0xF5).standard_normal((len(x), self.inner.shape[1] - x.shape[1]))
        known, unit = np.isfinite(x), np.where(self.sigma > 0, self.sigma, 1.0)
        z = (np.where(known, x, self.centre) - self.centre) / unit
        hidden = np.tanh(np.concatenate([z, drawn], axis=1) @ self.inner.T + self.bias)
        moved = self.centre + unit * (z @ self.matrix.T + self.offset + hidden @ self.outer.T)
        return self.kept(x, moved, self.sigma > 0)


def fit_refiner(
    mc: Source, target: Target, *, seed: int = 0, options: AdversaryOptions = _OPTIONS
) -> RefinerMap:
    """Fit a refiner to the data at the class fractions of MC; no event has a missing value."""
    x, y = (np.asarray(events.features, dtype=np.float64) for events in (mc, target))
    centre, sigma = x.mean(axis=0), x.std(axis=0)
    varies = np.flatnonzero(sigma > 0)
    scaled = [((z - centre) / np.where(sigma > 0, sigma, 1.0))[:, varies] for z in (x, y)]
    # both sides weigh as much, whatever the signs
    weights = [np.asarray(e.weight, np.float64) / np.mean(e.weight) for e in (mc, target)]
    made = fit_stack(scaled[0], scaled[1], [weights[0]], [weights[1]], [seed], options)
    f, r = len(sigma), options.residual
    matrix, offset, outer = np.eye(f), np.zeros(f), np.zeros((f, r))
    inner = np.zeros((r, f + options.noise))
    matrix[np.ix_(varies, varies)], offset[varies] = made.matrix[0], made.offset[0]
    inner[:, [*varies, *range(f, f + options.noise)]] = made.inner[0]
    outer[varies] = made.outer[0]
    fitted = RefinerMap(centre, sigma, matrix, offset, inner, made.bias[0], outer)
    mapped = fitted.apply(x, fitted.flat(), seed)
    return replace(fitted, spikes=shared_values(mapped, mc, target))
