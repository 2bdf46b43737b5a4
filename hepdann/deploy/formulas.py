"""Expressions of the conversion, and steps in float64, as nodes of a graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..expressions import Expression
from ..expressions.functions import CONSTANTS
from .graph import Graph, Value

Pair = tuple[Value, Value | None]  # a number and, if any, what rounding took from it

_SPLITTER = 4097.0  # 2^12 + 1


def pieces(constant: ArrayLike) -> list[NDArray[np.float32]]:
    """Three numbers of 12 bits that add up to a constant of float64, largest first."""
    rest = np.asarray(constant, np.float64)
    parts = []
    for _ in range(3):
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


_UNARY = {
    "exp": "Exp", "log": "Log", "sin": "Sin", "cos": "Cos", "tanh": "Tanh",
    "abs": "Abs", "fabs": "Abs",
}  # fmt: skip
_SHORT: dict[str, Callable[[Graph, Value], Value]] = {
    "log10": lambda g, x: g.mul(g.unary("Log", x), 1 / math.log(10)),
    "log2": lambda g, x: g.mul(g.unary("Log", x), 1 / math.log(2)),
    "log1p": lambda g, x: g.unary("Log", g.add(x, 1.0)),
    "expm1": lambda g, x: g.sub(g.unary("Exp", x), 1.0),
    "tan": lambda g, x: g.div(g.unary("Sin", x), g.unary("Cos", x)),
    "cosh": lambda g, x: g.mul(g.add(g.unary("Exp", x), g.unary("Exp", g.sub(0.0, x))), 0.5),
    "sinh": lambda g, x: g.mul(g.sub(g.unary("Exp", x), g.unary("Exp", g.sub(0.0, x))), 0.5),
    "isnan": lambda g, x: g.where(g.binary("Equal", x, x), 0.0, 1.0),
    "isfinite": lambda g, x: g.where(g.binary("Equal", g.sub(x, x), 0.0), 1.0, 0.0),
}
_LOGICAL = ("&&", "||", "!")
_POWERS = ("**", "^")
_EXACT = {"abs", "fabs", "isnan", "isfinite"}
_WHOLE = (-4, -3, -2, -1, 1, 2, 3, 4)
_OPERATORS = {"+", "-", "*", "/", *_LOGICAL, *_POWERS, "&", "|", "neg", "pos"}
_CALLS = {*_UNARY, *_SHORT, "sqrt", "pow", "power", "hypot", "min", "max", "where"}


def supported(expression: Expression) -> bool:
    """Whether operators of the graph can compute an expression."""
    return _supported(expression.root)


def exact(expression: Expression) -> bool:
    """Whether the graph's value is that of float64, rounded: no function is approximated."""
    return _exact(expression.root)


def _exact(node: Any) -> bool:
    rough = node.kind == "call" and node.value in {*_UNARY, *_SHORT} - _EXACT
    if node.kind in ("op", "call") and node.value in (*_POWERS, "pow", "power"):
        rough = _number(node.operands[1]) not in (0.5, *_WHOLE)
    return not rough and all(map(_exact, node.operands))


def _supported(node: Any) -> bool:
    if node.kind == "op" and node.value not in _OPERATORS:
        return False
    if node.kind == "op" and node.value in ("&", "|") and not all(map(_is_bool, node.operands)):
        return False
    if node.kind == "call" and node.value not in _CALLS:
        return False
    if node.kind == "number" and abs(float(node.value)) > np.finfo(np.float32).max:
        return False
    return all(map(_supported, node.operands))


def _is_bool(node: Any) -> bool:
    if node.kind == "bracket":
        return _is_bool(node.operands[0])
    if node.kind == "number":
        return isinstance(node.value, bool)
    named = node.value in _LOGICAL or node.value in ("isnan", "isfinite")
    joined = node.value in ("&", "|")  # of conditions, as checked
    return node.kind == "chain" or (node.kind in ("op", "call") and (named or joined))


def _number(node: Any) -> float | None:
    """The number that a node is, with its sign; ``None`` if it is none."""
    if node.kind == "bracket" or (node.kind == "op" and node.value in ("neg", "pos")):
        inner = _number(node.operands[0])
        return -inner if inner is not None and node.value == "neg" else inner
    return float(node.value) if node.kind == "number" else None


class Formula:
    """Adds expressions of columns (N, 1) to a graph; conditions are 1 and 0, NaN passes.

    hepdann computes in float64: sums, products, quotients and roots are pairs here.
    """

    def __init__(self, graph: Graph, columns: Mapping[str, Value]) -> None:
        self.graph, self.columns = graph, columns

    def add(self, expression: Expression) -> Value:
        """The column (N, 1) of a :func:`supported` expression."""
        high, low = self._pair(expression.root)
        return high if low is None else self.graph.add(high, low)

    def _value(self, node: Any) -> Value:
        """As one number."""
        return self._pair(node)[0]

    def _pair(self, node: Any) -> Pair:
        number = _number(node)
        if number is not None:
            first, second = pair(number)
            return self.graph.constant(first), self.graph.constant(second) if second else None
        if node.kind == "name":
            known = self.columns.get(node.value)
            return (self.graph.constant(CONSTANTS[node.value]) if known is None else known), None
        if node.kind == "bracket":
            return self._pair(node.operands[0])
        if node.kind == "chain":
            return self._chain(node), None
        pairs = [self._pair(operand) for operand in node.operands]
        exact = self._arithmetic(node, pairs)
        if exact is not None:
            return exact
        values = [high for high, _ in pairs]
        return (self._call if node.kind == "call" else self._operator)(node, values), None

    def _arithmetic(self, node: Any, pairs: list[Pair]) -> Pair | None:
        """What is computed in pairs; ``None`` of anything else."""
        name = node.value
        if name == "pos":
            return pairs[0]
        if name in (*_POWERS, "pow", "power"):
            return self._power(pairs[0], _number(node.operands[1]))
        if name == "+":
            return add_pairs(self.graph, *pairs)
        if name == "-":
            return add_pairs(self.graph, pairs[0], negative(self.graph, pairs[1]))
        if name == "neg":
            return negative(self.graph, pairs[0])
        if name == "*":
            return multiply_pairs(self.graph, *pairs)
        if name == "/":
            return divide_pairs(self.graph, *pairs)
        if name == "sqrt":
            return root(self.graph, pairs[0])
        if name == "hypot":
            squares = [multiply_pairs(self.graph, one, one) for one in pairs]
            return root(self.graph, add_pairs(self.graph, *squares))
        return None

    def _power(self, base: Pair, exponent: float | None) -> Pair | None:
        """A small whole power, or the root."""
        g = self.graph
        if exponent == 0.5:
            return root(g, base)
        if exponent not in _WHOLE:
            return None
        assert exponent is not None
        power = reduce(lambda a, b: multiply_pairs(g, a, b), [base] * int(abs(exponent)))
        return power if exponent > 0 else divide_pairs(g, (g.constant(1.0), None), power)

    def _operator(self, node: Any, values: list[Value]) -> Value:
        g, name = self.graph, node.value
        if name in _POWERS:
            return g.binary("Pow", *values)
        truths = [g.where(g.binary("Equal", v, 0.0), 0.0, 1.0) for v in values]
        if name == "!":
            return g.sub(1.0, truths[0])
        if name in ("&&", "&"):
            return g.mul(*truths)
        return g.sub(1.0, g.mul(*(g.sub(1.0, truth) for truth in truths)))

    def _call(self, node: Any, values: list[Value]) -> Value:
        g, name = self.graph, node.value
        if name in _UNARY:
            return g.unary(_UNARY[name], values[0])
        if name in _SHORT:
            return _SHORT[name](g, values[0])
        if name in ("pow", "power"):
            return g.binary("Pow", *values)
        if name == "where":
            return g.where(g.binary("Equal", values[0], 0.0), values[2], values[1])
        operator = "Less" if name == "min" else "Greater"
        return reduce(lambda a, b: self._extreme(operator, a, b), values)

    def _extreme(self, operator: str, a: Value, b: Value) -> Value:
        """The smaller or larger one; NaN where one is NaN."""
        g = self.graph
        chosen = g.where(g.binary(operator, a, b), a, b)
        return g.where(g.binary("Equal", a, a), chosen, a)

    def _chain(self, node: Any) -> Value:
        parts = [
            self._compare(operator, left, right)
            for operator, left, right in zip(
                node.value, node.operands[:-1], node.operands[1:], strict=True
            )
        ]
        return reduce(self.graph.mul, parts)

    def _compare(self, operator: str, left: Any, right: Any) -> Value:
        """1 where the comparison holds; a constant that is no float32 does not round it away."""
        g = self.graph
        if _number(left) is not None and _number(right) is None:
            mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
            return self._compare(mirrored.get(operator, operator), right, left)
        a, number = self._value(left), _number(right)
        b = self._value(right)
        if number is not None and float(np.float32(number)) != number:
            nearest = np.float32(number)
            if operator in (">", ">="):
                below = float(nearest) < number
                bound = nearest if below else np.nextafter(nearest, np.float32(-np.inf))
                return g.where(g.binary("Greater", a, bound), 1.0, 0.0)
            if operator in ("<", "<="):
                above = float(nearest) > number
                bound = nearest if above else np.nextafter(nearest, np.float32(np.inf))
                return g.where(g.binary("Less", a, bound), 1.0, 0.0)
        equal = g.where(g.binary("Equal", a, b), 1.0, 0.0)
        if operator == "==":
            return equal
        if operator == "!=":
            return g.sub(1.0, equal)
        strict = g.binary("Less" if operator[0] == "<" else "Greater", a, b)
        return g.where(strict, 1.0, equal if operator.endswith("=") else 0.0)
