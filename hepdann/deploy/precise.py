"""Steps that hepdann does in float64, in pairs of float32 numbers.

Every number that goes in is float32 or a constant of float64; what comes out is the float64 result
rounded to float32, or now and then the number beside it. Products are made exact by operands of 12
bits (Dekker, Numer. Math. 18 (1971) 224), sums by their error (Knuth's two-sum).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .graph import Graph, Value

Pair = tuple[Value, Value | None]  # a number and, if any, what rounding took from it

_SPLITTER = 4097.0  # 2^12 + 1


def pieces(constant: ArrayLike, count: int = 3) -> list[NDArray[np.float32]]:
    """Numbers of 12 bits that add up to a constant of float64, largest first."""
    rest = np.asarray(constant, np.float64)
    parts = []
    for _ in range(count):
        mantissa, exponent = np.frexp(rest)
        part = np.ldexp(np.rint(np.ldexp(mantissa, 12)), exponent - 12)
        parts.append(part.astype(np.float32))
        rest = rest - parts[-1].astype(np.float64)
    return parts


def pair(constant: ArrayLike) -> list[NDArray[np.float32]]:
    """Two float32 numbers that add up to a constant of float64."""
    exact = np.asarray(constant, np.float64)
    first = exact.astype(np.float32)
    return [first, (exact - first.astype(np.float64)).astype(np.float32)]


def halves(graph: Graph, x: Value) -> tuple[Value, Value]:
    """Two numbers of 12 bits that add up to x."""
    scaled = graph.mul(x, _SPLITTER)
    high = graph.sub(scaled, graph.sub(scaled, x))
    return high, graph.sub(x, high)


def two_sum(graph: Graph, a: Value | ArrayLike, b: Value | ArrayLike) -> tuple[Value, Value]:
    """The sum a + b, and what rounding took from it."""
    left, right = graph.of(a), graph.of(b)
    total = graph.add(left, right)
    part = graph.sub(total, left)
    rest = graph.add(graph.sub(left, graph.sub(total, part)), graph.sub(right, part))
    return total, rest


def difference(graph: Graph, x: Value, constant: ArrayLike) -> tuple[Value, Value]:
    """``x − c`` of a constant c of float64, as a pair."""
    first, second = pair(-np.asarray(constant, np.float64))
    total, rest = two_sum(graph, x, first)
    return total, (graph.add(rest, second) if second.any() else rest)


def affine(
    graph: Graph,
    x: Value,
    scale: Sequence[Value | ArrayLike],
    offset: Sequence[Value | ArrayLike],
    more: Value | None = None,
) -> tuple[Value, Value]:
    """``s x + o`` as a pair, s given in three :func:`pieces` and o as a :func:`pair`.

    ``more`` is a small number that is added.
    """
    high, low = halves(graph, x)
    first, second, third = scale
    total, errors = two_sum(graph, graph.mul(high, first), offset[0])
    for term in (graph.mul(low, first), graph.mul(high, second)):
        total, error = two_sum(graph, total, term)
        errors = graph.add(errors, error)
    small = graph.add(graph.mul(low, second), graph.mul(high, third))
    small = graph.add(graph.add(small, offset[1]), errors)
    return normal(graph, total, small if more is None else graph.add(small, more))


def product(
    graph: Graph, x: tuple[Value, Value], matrix: ArrayLike, offset: ArrayLike
) -> tuple[Value, Value]:
    """``x A + o`` as a pair, of (N, F) as a pair with A (F, H) and o (H,) of float64."""
    high, low = halves(graph, x[0])
    first, second, third = pieces(matrix)
    small = graph.add(graph.gemm(low, second), graph.gemm(high, third))
    small = graph.add(small, graph.gemm(x[1], first))
    columns = [graph.split(half, [1] * half.width) for half in (high, low)]
    total, errors = (graph.constant(part) for part in pair(offset))
    for row, (large, rest) in enumerate(zip(*columns, strict=True)):
        for column, factor in ((large, first), (rest, first), (large, second)):
            total, error = two_sum(graph, total, graph.mul(column, factor[row]))
            errors = graph.add(errors, error)
    return normal(graph, total, graph.add(small, errors))


def normal(graph: Graph, total: Value, small: Value) -> tuple[Value, Value]:
    """The pair of a sum and what is small beside it: the sum rounded, and the rest."""
    high = graph.add(total, small)
    return high, graph.sub(small, graph.sub(high, total))


def rounded(graph: Graph, value: tuple[Value, Value]) -> Value:
    """A pair as one number of float32."""
    return graph.add(*value, rounded=True)


def negative(graph: Graph, x: Pair) -> Pair:
    """``−x``."""
    return graph.sub(0.0, x[0]), None if x[1] is None else graph.sub(0.0, x[1])


def add_pairs(graph: Graph, a: Pair, b: Pair) -> Pair:
    """The sum of two pairs."""
    total, small = two_sum(graph, a[0], b[0])
    return normal(graph, total, _with(graph, small, a[1], b[1]))


def multiply_pairs(graph: Graph, a: Pair, b: Pair) -> Pair:
    """The product of two pairs."""
    total, small = _two_product(graph, a[0], b[0])
    crossed = [graph.mul(x, low) for x, low in ((a[0], b[1]), (b[0], a[1])) if low is not None]
    return normal(graph, total, _with(graph, small, *crossed)) if crossed else (total, small)


def divide_pairs(graph: Graph, a: Pair, b: Pair) -> Pair:
    """The quotient of two pairs."""
    quotient = graph.div(a[0], b[0])
    rest = add_pairs(graph, a, negative(graph, multiply_pairs(graph, (quotient, None), b)))
    return quotient, _finite(graph, graph.div(rest[0], b[0]))


def root(graph: Graph, x: Pair) -> Pair:
    """The square root of a pair."""
    first = graph.unary("Sqrt", x[0])
    square = multiply_pairs(graph, (first, None), (first, None))
    rest = add_pairs(graph, x, negative(graph, square))
    return first, _finite(graph, graph.div(rest[0], graph.mul(first, 2.0)))


def _two_product(graph: Graph, a: Value, b: Value) -> tuple[Value, Value]:
    """The product of two numbers, and what rounding took from it."""
    total = graph.mul(a, b)
    (a1, a2), (b1, b2) = halves(graph, a), halves(graph, b)
    rest = graph.sub(graph.mul(a1, b1), total)
    for left, right in ((a1, b2), (a2, b1), (a2, b2)):
        rest = graph.add(rest, graph.mul(left, right))
    return total, rest


def _with(graph: Graph, small: Value, *more: Value | None) -> Value:
    for one in more:
        small = small if one is None else graph.add(small, one)
    return small


def _finite(graph: Graph, small: Value) -> Value:
    """0 in place of what a division by zero leaves."""
    zero = graph.binary("Equal", graph.sub(small, small), 0.0)
    return graph.where(zero, small, 0.0)
