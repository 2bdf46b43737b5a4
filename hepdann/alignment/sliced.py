"""Iterated sliced transport: one-dimensional transports along random axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..tensors.source_and_target import Target
from .standard import Standard, both_sides

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SlicedTransport:
    """A chain of "rotate, move each axis by its quantiles, rotate back" (Pitié et al., 2007).

    Every step transports the target along F orthogonal axes drawn at random, each by
    u ↦ u + d(u) with d piecewise linear between ``knots`` quantiles and constant beyond them.

    Attributes:
        here: moments of the target.
        there: moments of the source.
        axes: (S, A, A) float64 orthogonal matrices, over the features with width on both sides.
        at: (S, A, Q) float64 increasing positions on each axis.
        by: (S, A, Q) float64 how far they are moved.
    """

    here: Standard
    there: Standard
    axes: Floats
    at: Floats
    by: Floats

    name: ClassVar[str] = "sliced"
    summary: ClassVar[str] = "iterated sliced transport along random axes"

    @classmethod
    def fit(
        cls, target: Target, source: Target, *, seed: int = 0, steps: int = 24, knots: int = 48
    ) -> Self:
        """Transport step by step; no label is read.

        Args:
            target: as in :meth:`.Kind.fit`; a missing value counts as the mean of its feature.
            source: likewise.
            seed: of the axes.
            steps: how many times F axes are drawn.
            knots: quantiles that carry the map of an axis; few of them smooth it.
        """
        of_target, of_source, active = both_sides(target, source)
        z = of_target.unit(target.features)[:, active]
        y = of_source.unit(source.features)[:, active]
        generator = np.random.default_rng([seed, 0x51])
        ranks = (np.arange(knots) + 0.5) / knots
        size = int(active.sum())
        axes, at, by = (np.empty((steps, size, n)) for n in (size, knots, knots))
        for step in range(steps if size else 0):
            axes[step] = _orthogonal(size, generator)
            u, v = z @ axes[step].T, y @ axes[step].T
            for j in range(size):
                x = _quantiles(u[:, j], target.weight, ranks)
                at[step, j] = _increasing(x)
                by[step, j] = _quantiles(v[:, j], source.weight, ranks) - x
            z = _moved(u, at[step], by[step]) @ axes[step]
        return cls(of_target, of_source, axes, at, by)

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """Map target features (N, F), NaN and infinities passing, to (N, F) float32."""
        of_target, of_source = self.here, self.there
        given = np.asarray(x, dtype=np.float64)
        known = ~(np.isnan(of_target.width) | np.isnan(of_source.width))
        active = (of_target.width > 0) & (of_source.width > 0)
        z = of_target.unit(given)[:, active]
        steps = zip(self.axes, self.at, self.by, strict=True) if active.any() else ()
        for axes, at, by in steps:
            z = _moved(z @ axes.T, at, by) @ axes
        mapped = given + np.where(known, of_source.mean - of_target.mean, 0.0)
        mapped[:, active] = z * of_source.width[active] + of_source.mean[active]
        return np.where(np.isfinite(given), mapped, given).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Everything :meth:`from_dict` needs, JSON-serialisable; a width of NaN becomes null."""
        sides = {
            key: {
                "mean": side.mean.tolist(),
                "width": [None if np.isnan(w) else float(w) for w in side.width],
            }
            for key, side in (("here", self.here), ("there", self.there))
        }
        arrays = {key: getattr(self, key).tolist() for key in ("axes", "at", "by")}
        return {"map": self.name, **sides, **arrays}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described."""

        def side(key: str) -> Standard:
            return Standard(*(np.asarray(stored[key][k], np.float64) for k in ("mean", "width")))

        arrays = (np.asarray(stored[k], dtype=np.float64) for k in ("axes", "at", "by"))
        return cls(side("here"), side("there"), *arrays)


def _orthogonal(size: int, generator: np.random.Generator) -> Floats:
    q, r = np.linalg.qr(generator.standard_normal((size, size)))
    return np.asarray((q * np.sign(np.diag(r))).T)


def _quantiles(u: Floats, weight: NDArray[np.floating], ranks: Floats) -> Floats:
    """Weighted quantiles, each an event's own position: a weight of 2 is two events.

    A cumulative weight that falls is replaced by its running maximum.
    """
    order = np.argsort(u, kind="stable")
    cumulative = np.maximum.accumulate(np.cumsum(weight[order], dtype=np.float64))
    first = np.searchsorted(cumulative, ranks * cumulative[-1])
    return np.asarray(u[order][np.minimum(first, len(u) - 1)])


def _increasing(x: Floats) -> Floats:
    """Positions of which equal ones differ by as little as can be, for interpolation."""
    return np.asarray(np.maximum.accumulate(x + np.arange(len(x)) * 1e-9))


def _moved(u: Floats, at: Floats, by: Floats) -> Floats:
    moved = [
        u[:, j] + np.interp(u[:, j], a, b) for j, (a, b) in enumerate(zip(at, by, strict=True))
    ]
    return np.stack(moved, axis=1)
