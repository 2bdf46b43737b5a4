"""Alignments as nodes of a graph, one function for each kind of map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..alignment import (
    AffineMap,
    Alignment,
    Chain,
    GaussianTransport,
    LinearMap,
    Moments,
    QuantileMap,
    SlicedTransport,
)
from ..errors import RunError
from .features import Features
from .formulas import affine, difference, normal, pair, pieces, product, rounded, two_sum
from .graph import Graph, Value

Floats = NDArray[np.float64]


def add_alignment(graph: Graph, alignment: Alignment, features: Features) -> Features:
    """Map the features (N, F) as an alignment does; missing ones stay missing.

    Raises:
        RunError: it is a map that the user registered.
    """
    convert = _CONVERTERS.get(type(alignment))
    if convert is None:
        raise RunError(
            f"the alignment {alignment.name!r} is one of your own, which has no operators",
            mend="export another method (--method)",
        )
    values: Value = convert(graph, alignment, features)
    return Features(values, features.known)


def _chain(graph: Graph, chain: Chain, features: Features) -> Value:
    for one in chain.maps:
        features = add_alignment(graph, one, features)
    return features.values


def _moments(graph: Graph, moments: Moments, features: Features) -> Value:
    mapped = affine(graph, features.values, pieces(moments.factor), pair(moments.offset))
    return rounded(graph, mapped)


def _linear(graph: Graph, linear: LinearMap, features: Features) -> Value:
    """``A (x − c) + (A c + b)``; a missing value stands at the centre."""
    centre = linear.centre.astype(np.float32).astype(np.float64)
    high, low = difference(graph, graph.where(features.known, features.values, centre), centre)
    low = graph.where(features.known, low, linear.centre - centre)
    offset = linear.matrix @ centre + linear.offset
    return rounded(graph, product(graph, (high, low), linear.matrix.T, offset))


def _quantile(graph: Graph, quantile: QuantileMap, features: Features) -> Value:
    columns = graph.split(features.values, [1] * features.values.width)
    return graph.concat(
        [
            rounded(graph, _interpolated(graph, (column, None), xs, ys)) if len(xs) else column
            for column, xs, ys in zip(columns, quantile.target, quantile.source, strict=True)
        ]
    )


def _interpolated(
    graph: Graph, x: tuple[Value, Value | None], at: Floats, to: Floats, beyond: float = 0.0
) -> tuple[Value, Value]:
    """Linear interpolation of a column (N, 1), of the slope ``beyond`` outside of both ends.

    Every segment asks whether x lies in it. The product of these answers, of which one is 1, with a
    table gives start, slope and value of that segment without rounding.
    """
    slope = np.concatenate([[beyond], np.diff(to) / np.diff(at), [beyond]])
    start, value = np.append(at[0], at), np.append(to[0], to)
    lower = np.concatenate([[-np.inf], at])
    upper = np.append(at, np.inf)
    spread = graph.gemm(x[0], np.ones((1, len(start))))
    inside = graph.where(
        graph.binary("Less", spread, lower),
        0.0,
        graph.where(graph.binary("Less", spread, upper), 1.0, 0.0),
    )
    table = [*pair(start), *pieces(slope), *pair(value)]
    row = graph.gemm(inside, np.stack(table, axis=1))
    start_high, start_low, *slopes, value_high, value_low = graph.split(row, [1] * len(table))
    step, error = two_sum(graph, x[0], graph.sub(0.0, start_high))
    if table[1].any():
        error = graph.sub(error, start_low)
    if x[1] is not None:
        error = graph.add(error, x[1])
    step, error = normal(graph, step, error)
    more = graph.mul(error, slopes[0])
    return affine(graph, step, slopes, [value_high, value_low], more)


def _sliced(graph: Graph, sliced: SlicedTransport, features: Features) -> Value:
    source, target = sliced.there, sliced.here
    known = ~(np.isnan(target.width) | np.isnan(source.width))
    active = (target.width > 0) & (source.width > 0)
    shift = np.where(known, source.mean - target.mean, 0.0)
    ones = pieces(np.ones(len(active)))
    moved = rounded(graph, affine(graph, features.values, ones, pair(shift)))
    if not active.any():
        return moved
    scale = np.where(active, target.width, 1.0)
    unit = affine(graph, features.values, pieces(1 / scale), pair(-target.mean / scale))
    z = (graph.where(features.known, unit[0], 0.0), graph.where(features.known, unit[1], 0.0))
    before = np.eye(len(active))[:, active]
    for axes, at, by in zip(sliced.axes, sliced.at, sliced.by, strict=True):
        u = product(graph, z, before @ axes.T, np.zeros(len(axes)))
        columns = zip(*(graph.split(part, [1] * part.width) for part in u), strict=True)
        parts = [
            _interpolated(graph, column, a, a + b, beyond=1.0)
            for column, a, b in zip(columns, at, by, strict=True)
        ]
        z = (graph.concat([p[0] for p in parts]), graph.concat([p[1] for p in parts]))
        before = axes
    widths = np.where(active, source.width, 0.0)
    back = product(graph, z, before @ np.diag(widths)[active], source.mean)
    chosen = active.astype(float)
    return graph.add(graph.mul(rounded(graph, back), chosen), graph.mul(moved, 1 - chosen))


_CONVERTERS: dict[type[Any], Callable[[Graph, Any, Features], Value]] = {
    Chain: _chain,
    Moments: _moments,
    LinearMap: _linear,
    GaussianTransport: _linear,
    AffineMap: _linear,
    QuantileMap: _quantile,
    SlicedTransport: _sliced,
}
