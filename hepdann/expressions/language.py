"""Cuts, weights, labels and computed features: a small language, parsed and never ``eval``-ed.

ROOT's spelling and Python's are both understood, and may be mixed: ``&&`` and ``and``, ``||`` and
``or``, ``!`` and ``not``, ``TMath::Abs(x)`` and ``abs(x)``, ``a ? b : c`` and ``where(a, b, c)``.
Where the two languages disagree in silence, the text is refused instead: ``a == b == c``, and
``a > 1 & b < 2``. Two readings are fixed: ``1 < x < 2`` is meant as in mathematics (C++ compares
the truth value of ``1 < x`` with 2), and ``^`` is a power, as in ``TTree::Draw``.

The parser is our own because formulate (1.1) knows one language at a time, neither ``and``, ``or``,
``not`` nor ``?:``, reads ``1 < x < 2`` as C++ does, and takes a branch called ``pi`` for 3.14.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .functions import CONSTANTS, FUNCTIONS, OPERATORS, TypeMismatchError, truth

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>0[xX][0-9a-fA-F]+ | (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[fFuUlL]?(?![\w.])
    | (?P<quoted>`[^`]+`)
    | (?P<name>[^\W\d]\w*(?:(?:\.|::)[^\W\d]\w*)*)
    | (?P<operator>\|\||&&|==|!=|<=|>=|\*\*|[-+*/%^!~<>&|?:(),\[\]])
    )""",
    re.VERBOSE,
)
_WORDS = {"and": "&&", "or": "||"}
_EQUALITIES = {"==", "!="}
_COMPARISONS = {"<", "<=", ">", ">=", *_EQUALITIES}
_LONGEST = 10_000

Lookup = Callable[[str], NDArray[Any]]


@dataclass(frozen=True)
class _Node:
    """One operation and its operands; ``kind`` is number, name, call, op, chain or bracket."""

    kind: str
    value: Any
    operands: tuple[_Node, ...] = ()

    def names(self) -> tuple[str, ...]:
        """The names read, each once, from left to right."""
        names: dict[str, None] = {}
        stack = [self]
        while stack:
            node = stack.pop()
            if node.kind == "name":
                names[node.value] = None
            stack.extend(reversed(node.operands))
        return tuple(names)


@dataclass(frozen=True)
class Expression:
    """A parsed expression of branches.

    Attributes:
        text: as the user wrote it.
        names: the columns that it reads, each once, in order; an element of an array branch, or
            of a list whose length varies, is called ``x[1]``.
        where: what to name in an error.
    """

    text: str
    names: tuple[str, ...]
    where: str
    root: _Node

    @property
    def is_name(self) -> bool:
        """Whether this is a bare column, to be passed through untouched."""
        return self.root.kind == "name"

    @property
    def scaled_name(self) -> str | None:
        """The column that this is, up to constant factors; ``None`` if it is more."""
        node = self.root
        while node.kind == "bracket" or (node.kind == "op" and node.value in ("*", "/")):
            first, *last = node.operands
            if last and last[0].kind != "number":
                if node.value == "/" or first.kind != "number":
                    return None
                first = last[0]
            node = first
        return node.value if node.kind == "name" else None

    def evaluate(self, lookup: Lookup, size: int) -> NDArray[Any]:
        """The value for each of ``size`` events.

        Arithmetic is done in float64 (``+``, ``-``, ``%`` and ``abs`` of integers in int64 where
        the results fit), as ROOT does: integers never wrap around, and a constant is never rounded
        to float32. A bare column comes back in its own type. Division by zero and logarithms of
        negative numbers give inf and NaN.

        Args:
            lookup: gives the values of a column, (size,) each.
            size: number of events.

        Returns:
            (size,) array; bool for conditions.

        Raises:
            ConfigError: an operator does not fit the type of its operands.
        """
        try:
            with np.errstate(all="ignore"):
                value = _evaluate(self.root, lookup)
        except TypeMismatchError as error:
            raise ConfigError(str(error), where=self.where) from None
        except RecursionError:
            raise ConfigError("is nested too deeply", where=self.where) from None
        return np.broadcast_to(value, (size,))

    def condition(self, lookup: Lookup, size: int) -> NDArray[np.bool_]:
        """The value as a selection: (size,) bool; NaN does not pass."""
        return truth(self.evaluate(lookup, size))


def _evaluate(node: _Node, lookup: Lookup) -> Any:
    if node.kind == "number":
        return node.value
    if node.kind == "name":
        return lookup(node.value)
    values = [_evaluate(operand, lookup) for operand in node.operands]
    if node.kind == "bracket":
        return values[0]
    if node.kind == "chain":
        parts = [
            OPERATORS[operator](left, right)
            for operator, left, right in zip(node.value, values[:-1], values[1:], strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.logical_and.reduce(np.broadcast_arrays(*parts))
    return (FUNCTIONS[node.value].call if node.kind == "call" else OPERATORS[node.value])(*values)


def parse(text: str, *, what: str = "expression") -> Expression:
    """Parse an expression of branches, numbers, operators and the functions of ``functions``.

    Args:
        text: the expression, for example ``"q_1*q_2 < 0 && iso_1 < 0.1"``. A branch whose name is
            no identifier goes between backquotes.
        what: what the expression is for; an error names it with the text.

    Raises:
        ConfigError: it does not parse, or calls an unknown function.
    """
    where = f"{what} '{text}'"
    if len(text) > _LONGEST:
        raise ConfigError(f"is longer than {_LONGEST} characters", where=what)
    try:
        root = _Parser(text, where).parse()
    except RecursionError:
        raise ConfigError("is nested too deeply", where=where) from None
    return Expression(text, root.names(), where, root)


def _number(text: str) -> int | float:
    if text[:2] in ("0x", "0X"):
        value = int(text, 16)
    elif text.isdigit():
        value = int(text)
    else:
        return float(text)
    return value if value < 2**64 else float(value)


class _Parser:
    """Recursive descent, one method a level of precedence (C++'s, with Python's ``not``)."""

    def __init__(self, text: str, where: str) -> None:
        self._where = where
        self._tokens = list(self._scan(text))
        self._at = 0

    def _error(self, message: str, mend: str | None = None) -> ConfigError:
        return ConfigError(message, where=self._where, mend=mend)

    def _scan(self, text: str) -> Iterator[tuple[str, str]]:
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                rest = text[position:].lstrip()
                mend = "write == to compare" if rest.startswith("=") else None
                raise self._error(f"cannot be read from '{rest[:20]}' on", mend)
            position = match.end()
            kind = str(match.lastgroup)
            value = match[kind]
            if kind == "name" and value in _WORDS:
                kind, value = "operator", _WORDS[value]
            yield kind, value
        yield "end", "the end"

    def _peek(self) -> str:
        kind, value = self._tokens[self._at]
        return value if kind == "operator" or value == "not" else kind

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _expect(self, operator: str) -> None:
        if self._peek() != operator:
            raise self._error(f"'{operator}' is expected before '{self._tokens[self._at][1]}'")
        self._at += 1

    def parse(self) -> _Node:
        node = self._conditional()
        if self._peek() != "end":
            raise self._error(f"'{self._tokens[self._at][1]}' is not expected here")
        return node

    def _conditional(self) -> _Node:
        node = self._left(self._both, ("||",))
        if self._peek() != "?":
            return node
        self._next()
        yes = self._conditional()
        self._expect(":")
        return _Node("call", "where", (node, yes, self._conditional()))

    def _both(self) -> _Node:
        return self._left(self._negation, ("&&",))

    def _negation(self) -> _Node:
        if self._peek() == "not":
            self._next()
            return _Node("op", "!", (self._negation(),))
        return self._bits(("|",), lambda: self._bits(("&",), self._comparison))

    def _bits(self, operators: tuple[str, ...], lower: Callable[[], _Node]) -> _Node:
        node = lower()
        while self._peek() in operators:
            operator = self._next()
            right = lower()
            if "chain" in (node.kind, right.kind):
                raise self._error(
                    f"'{operator}' beside a comparison means one thing in C++ and another in "
                    "Python",
                    f"write {operator * 2}, or brackets around each comparison",
                )
            node = _Node("op", operator, (node, right))
        return node

    def _comparison(self) -> _Node:
        operands, operators = [self._sum()], []
        while self._peek() in _COMPARISONS:
            operators.append(self._next())
            operands.append(self._sum())
        if len(operators) > 1 and (equalities := _EQUALITIES.intersection(operators)):
            raise self._error(
                f"'{min(equalities)}' beside another comparison has two meanings", "write brackets"
            )
        return _Node("chain", tuple(operators), tuple(operands)) if operators else operands[0]

    def _left(self, lower: Callable[[], _Node], operators: tuple[str, ...]) -> _Node:
        node = lower()
        while self._peek() in operators:
            node = _Node("op", self._next(), (node, lower()))
        return node

    def _sum(self) -> _Node:
        return self._left(lambda: self._left(self._unary, ("*", "/", "%")), ("+", "-"))

    def _unary(self) -> _Node:
        if self._peek() in ("-", "+", "!", "~"):
            operator = self._next()
            return _Node("op", {"-": "neg", "+": "pos"}.get(operator, operator), (self._unary(),))
        node = self._primary()
        if self._peek() in ("**", "^"):
            operator = self._next()
            return _Node("op", operator, (node, self._unary()))
        return node

    def _primary(self) -> _Node:
        kind = self._peek()
        if kind == "number":
            return _Node("number", _number(self._next()))
        if kind == "(":
            self._next()
            node = self._conditional()
            self._expect(")")
            return _Node("bracket", None, (node,))
        if kind == "quoted":
            return self._element(self._next()[1:-1])
        if kind == "name":
            name = self._next()
            if name.lower() in ("true", "false"):
                return _Node("number", CONSTANTS[name.lower()])
            return self._call(name) if self._peek() == "(" else self._element(name)
        raise self._error(f"a value is missing before '{self._tokens[self._at][1]}'")

    def _element(self, name: str) -> _Node:
        while self._peek() == "[":
            self._next()
            sign = self._next() if self._peek() == "-" else ""
            index = self._next()
            if not index.isdigit():
                raise self._error(f"the index of '{name}' must be a whole number")
            name += f"[{int(sign + index)}]"
            self._expect("]")
        return _Node("name", name)

    def _call(self, name: str) -> _Node:
        function = name.removeprefix("TMath::").removeprefix("std::").removeprefix("np.").lower()
        self._expect("(")
        operands: list[_Node] = []
        while self._peek() != ")":
            operands.append(self._conditional())
            if self._peek() != ",":
                break
            self._next()
        self._expect(")")
        if function in CONSTANTS and not operands:
            return _Node("number", CONSTANTS[function])
        if function not in FUNCTIONS:
            near = get_close_matches(function, FUNCTIONS, n=1)
            raise self._error(
                f"no function '{name}'",
                f"did you mean '{near[0]}'?"
                if near
                else "known are " + ", ".join(sorted(FUNCTIONS)),
            )
        (low, high), step = FUNCTIONS[function].arguments, FUNCTIONS[function].step
        if not low <= len(operands) <= high or (len(operands) - low) % step:
            more = f"{low} or more" if step == 1 else f"{low}, {low + step}, …"
            takes = low if low == high else more
            raise self._error(f"'{name}' takes {takes} values, {len(operands)} are given")
        return _Node("call", function, tuple(operands))
