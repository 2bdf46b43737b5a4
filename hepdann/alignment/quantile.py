"""Transports of one dimension: of each feature, and iterated along random axes.

The quantile map gives each target feature the distribution that it has in the source: per feature,
T = Q_S ∘ F_T with the target's cumulative distribution F_T and the source's quantile function Q_S,
the optimal transport of one dimension.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..compiled import function
from ..tensors.source_and_target import Target
from .base import Standard, both_sides, check_total, common_width

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class QuantileMap:
    """A monotone, piecewise linear map of each feature, within the range of the source.

    Attributes:
        target: per feature, (k,) float64 increasing target values.
        source: per feature, (k,) float64 non-decreasing values that they are mapped to. Both are
            empty where one side had no finite entry; such a feature passes as it is.
    """

    name: ClassVar[str] = "quantile"
    by_feature: ClassVar[bool] = True

    target: tuple[Floats, ...]
    source: tuple[Floats, ...]

    @classmethod
    def fit(cls, target: Target, source: Target, *, seed: int = 0, knots: int = 512) -> Self:
        """Match the distributions, feature by feature; no label is read.

        NaN and infinite entries have no part in it. Equal target values share the middle of their
        ranks, so that they stay equal; equal source values keep the whole of theirs, so that a
        spike of the source collects its full share. The same sample on both sides gives the
        identity. Negative weights make a cumulative distribution fall in places; the mean of its
        running maximum and its running minimum from above takes its place.

        Args:
            target: as in :meth:`.Kind.fit`.
            source: likewise.
            seed: of no effect.
            knots: of more target values than about this many, some are left to linear
                interpolation; each 1/knots of the events, and of the range on either side, keeps
                its two outermost values, and the tails and the ends of spikes keep more.
        """
        del seed
        width = common_width(target, source)
        xs, ys = [], []
        for j in range(width):
            of_target = _distribution(target.features[:, j], target.weight, f"target feature {j}")
            of_source = _distribution(source.features[:, j], source.weight, f"source feature {j}")
            x = y = np.empty(0)
            if of_target is not None and of_source is not None:
                rank = (of_target.below + of_target.upto) / 2
                y = of_source.quantile(rank)
                keep = _thin(rank, of_target.values, y, knots)
                x, y = of_target.values[keep], y[keep]
            xs.append(x)
            ys.append(y)
        return cls(tuple(xs), tuple(ys))

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """Map target features (N, F), NaN passing, to (N, F) float32.

        Values beyond those of the fit are mapped like the outermost.
        """
        table = np.asarray(x)
        mapped = np.empty(table.shape, dtype=np.float32)
        real, wide = np.float32, np.float64
        compute = function(
            "interpolate", real, int, int, wide, real, int, wide, np.int32, int, np.int64, real
        )
        if compute is not None and table.dtype == np.float32:
            pieces, begins, ranges, before, steps = self._pieces
            rows, sizes = np.ascontiguousarray(table), (begins.shape[1], before.shape[1])
            compute(
                rows, *rows.shape, pieces, begins, sizes[0], ranges, before, sizes[1], steps, mapped
            )
            for j in [j for j, xs in enumerate(self.target) if not len(xs)]:
                mapped[:, j] = table[:, j]
            return mapped
        for j, (xs, ys) in enumerate(zip(self.target, self.source, strict=True)):
            column = table[:, j].astype(np.float64)
            mapped[:, j] = np.interp(column, xs, ys) if len(xs) else column
        return mapped

    @cached_property
    def _pieces(self) -> tuple[NDArray[Any], ...]:
        """The arrays of ``interpolate.c``: a table of cells of one width shortens the searches."""
        count, most = len(self.target), max(map(len, self.target), default=1)
        cells = 1 << most.bit_length()
        ranges, steps = np.zeros((count, 3)), np.zeros(count, np.int64)
        before = np.zeros((count, cells), np.int32)
        for j, xs in enumerate(self.target):
            if len(xs):
                width = xs[-1] - xs[0]
                ranges[j] = xs[0], xs[-1], (cells - 1) / width if width else 0.0
                cell = ((_float_above(xs) - xs[0]).clip(0, width) * ranges[j, 2]).astype(np.intp)
                inside = np.bincount(cell, minlength=cells)
                before[j] = np.maximum(np.cumsum(inside) - inside - 1, 0)
                steps[j] = int(inside.max()).bit_length()
        pieces = np.zeros((count, most + (1 << int(steps.max(initial=0))), 4))
        pieces[:, :, 0] = np.nan  # no value is beyond
        for table, xs, ys in zip(pieces, self.target, self.source, strict=True):
            table[: len(xs), 0], table[: len(xs), 1] = xs, ys
            table[: len(xs[1:]), 2] = np.diff(ys) / np.diff(xs)
        return pieces, _float_above(pieces[:, :, 0]), ranges, before, steps

    def to_dict(self) -> dict[str, Any]:
        """Everything :meth:`from_dict` needs, JSON-serialisable."""
        return {
            "map": self.name,
            "target": [xs.tolist() for xs in self.target],
            "source": [ys.tolist() for ys in self.source],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described."""
        return cls(
            tuple(np.asarray(xs, dtype=np.float64) for xs in stored["target"]),
            tuple(np.asarray(ys, dtype=np.float64) for ys in stored["source"]),
        )


@dataclass(frozen=True, eq=False)
class _Distribution:
    """Distinct values with the share of the events below and up to each, and how often each is."""

    values: Floats
    below: Floats
    upto: Floats
    count: NDArray[np.intp]

    def quantile(self, rank: Floats) -> Floats:
        """Q(rank): flat across the ranks of equal values, linear between neighbouring events.

        Of n equal values the first stands in the middle of the first n-th of their ranks and the
        last in the middle of the last, as n unequal ones would.
        """
        half = (self.upto - self.below) / (2 * self.count)
        ranks = np.stack([self.below + half, self.upto - half], axis=1).ravel()
        return np.interp(rank, ranks, np.repeat(self.values, 2))


def _float_above(x: Floats) -> NDArray[np.float32]:
    """The smallest float32 that is not below each: of a float32 it asks the same."""
    near = x.astype(np.float32)
    return np.where(near < x, np.nextafter(near, np.float32(np.inf)), near)


def _distribution(
    x: NDArray[np.float32], weight: NDArray[np.float32], what: str
) -> _Distribution | None:
    finite = np.isfinite(x)
    if not finite.any():
        return None
    values, index, count = np.unique(x[finite], return_inverse=True, return_counts=True)
    share = np.bincount(index, weights=weight[finite].astype(np.float64), minlength=len(values))
    total = share.sum()
    check_total(total, int(finite.sum()), what)
    edges = _monotone(np.concatenate([[0.0], np.cumsum(share / total)]))
    return _Distribution(values.astype(np.float64), edges[:-1], edges[1:], count)


def _monotone(cumulative: Floats) -> Floats:
    """A non-decreasing curve from 0 to 1; the curve itself where it is one."""
    clipped = np.clip(cumulative, 0.0, 1.0)
    clipped[-1] = 1.0
    from_below = np.maximum.accumulate(clipped)
    from_above = np.minimum.accumulate(clipped[::-1])[::-1]
    return (from_below + from_above) / 2


def _thin(rank: Floats, x: Floats, y: Floats, knots: int) -> NDArray[np.intp]:
    """Which points (x, y) carry the map: both ends of every step that interpolation would blur."""
    inside = np.clip(rank, 1e-12, 1 - 1e-12)
    tails = np.log(inside / (1 - inside)) / 64
    cells = np.stack([np.floor(_unit(grid) * knots) for grid in (x, y)])
    cells = np.concatenate([cells, np.floor(np.stack([rank, tails]) * knots)])
    steps = np.any(np.diff(cells, axis=1) != 0, axis=0)
    # Where the source has a spike the map is flat; its ends stay where they are.
    ends = np.flatnonzero(np.append(np.diff(y) != 0, True))
    starts = np.append(0, ends[:-1] + 1)
    flat = rank[ends] - rank[starts] > 1 / knots
    steps[starts[flat & (starts > 0)] - 1] = True
    steps[ends[flat & (ends < len(x) - 1)]] = True
    return np.flatnonzero(np.append(True, steps) | np.append(steps, True))


def _unit(values: Floats) -> Floats:
    span = values[-1] - values[0]
    return (values - values[0]) / span if span > 0 else np.zeros_like(values)


@dataclass(frozen=True, eq=False)
class SlicedTransport:
    """A chain of "rotate, move each axis by its quantiles, rotate back" (Pitié et al., 2007).

    Every step transports the target along F orthogonal axes drawn at random, each by
    u ↦ u + d(u) with d piecewise linear between ``knots`` quantiles and constant beyond them.

    Attributes:
        of_target: moments of the target.
        of_source: moments of the source.
        axes: (S, A, A) float64 orthogonal matrices, over the features with width on both sides.
        at: (S, A, Q) float64 increasing positions on each axis.
        by: (S, A, Q) float64 how far they are moved.
    """

    of_target: Standard
    of_source: Standard
    axes: Floats
    at: Floats
    by: Floats

    name: ClassVar[str] = "sliced"

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
            q, r = np.linalg.qr(generator.standard_normal((size, size)))
            axes[step] = (q * np.sign(np.diag(r))).T  # orthogonal, all alike probable
            u, v = z @ axes[step].T, y @ axes[step].T
            for j in range(size):
                x = _quantiles(u[:, j], target.weight, ranks)
                # equal ones differ by as little as can be, for interpolation
                at[step, j] = np.maximum.accumulate(x + np.arange(knots) * 1e-9)
                by[step, j] = _quantiles(v[:, j], source.weight, ranks) - x
            z = _moved(u, at[step], by[step]) @ axes[step]
        return cls(of_target, of_source, axes, at, by)

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """Map target features (N, F), NaN and infinities passing, to (N, F) float32."""
        of_target, of_source = self.of_target, self.of_source
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
            for key, side in (("here", self.of_target), ("there", self.of_source))
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


def _quantiles(u: Floats, weight: NDArray[np.floating], ranks: Floats) -> Floats:
    """Weighted quantiles, each an event's own position: a weight of 2 is two events.

    A cumulative weight that falls is replaced by its running maximum.
    """
    order = np.argsort(u, kind="stable")
    cumulative = np.maximum.accumulate(np.cumsum(weight[order], dtype=np.float64))
    first = np.searchsorted(cumulative, ranks * cumulative[-1])
    return np.asarray(u[order][np.minimum(first, len(u) - 1)])


def _moved(u: Floats, at: Floats, by: Floats) -> Floats:
    moved = [
        u[:, j] + np.interp(u[:, j], a, b) for j, (a, b) in enumerate(zip(at, by, strict=True))
    ]
    return np.stack(moved, axis=1)
