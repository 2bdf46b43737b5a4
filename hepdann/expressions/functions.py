"""What the operators and functions of an expression do to numpy arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MANY = 100


class TypeMismatchError(TypeError):
    """An operator does not fit the type of its operands."""


class Function(NamedTuple):
    """A callable on arrays, the least and largest number of its arguments, and their step."""

    call: Callable[..., Any]
    arguments: tuple[int, int]
    step: int = 1


def truth(value: Any) -> NDArray[np.bool_]:
    """Whether each value counts as true: bool as it is, a number unless it is zero or NaN."""
    array = np.asarray(value)
    if array.dtype.kind == "b":
        return array
    result: NDArray[np.bool_] = (array != 0) & (array == array)  # NaN differs from itself
    return result


def _kind(*values: Any) -> set[str]:
    return {np.asarray(value).dtype.kind for value in values}


def _real(value: Any) -> NDArray[np.float64]:
    return np.asarray(value).astype(np.float64)


def _wide(value: Any) -> NDArray[Any]:
    """int64 for bool and integers that fit, float64 for everything else."""
    array = np.asarray(value)
    fits = array.dtype.kind in "bi" or (array.dtype.kind == "u" and array.dtype.itemsize < 8)
    return array.astype(np.int64 if fits else np.float64)


def _whole(operation: Callable[..., Any]) -> Callable[..., Any]:
    """An operation in int64 on integers, and in float64 where its result would wrap around."""

    def call(*values: Any) -> Any:
        wide = [_wide(value) for value in values]
        result = operation(*wide)
        if result.dtype.kind == "i":
            real = operation(*map(_real, wide))
            if np.any(np.abs(real) >= 2.0**63):
                return real
        return result

    return call


def _comparable(value: Any) -> NDArray[Any]:
    """Integers as they are (numpy compares u8 with i8 exactly), floats as float64."""
    array = np.asarray(value)
    return array if array.dtype.kind in "biu" else array.astype(np.float64)


def _bits(symbol: str, function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def call(left: Any, right: Any) -> Any:
        if not _kind(left, right) <= set("biu"):
            raise TypeMismatchError(f"'{symbol}' needs conditions or integers; write {symbol * 2}")
        if _kind(left, right) == {"b"}:
            return function(left, right)
        return function(_integer(left), _integer(right))

    return call


def _integer(value: Any) -> NDArray[Any]:
    array = np.asarray(value)
    return array.view(np.int64) if array.dtype == np.uint64 else array.astype(np.int64)


def _power(left: Any, right: Any) -> Any:
    if "b" in _kind(left, right):
        raise TypeMismatchError("'^' and '**' raise to a power, and a condition has none; write !=")
    return np.power(_real(left), _real(right))


def _remainder(left: Any, right: Any) -> Any:
    left, right = _wide(left), _wide(right)
    if left.dtype.kind == right.dtype.kind == "i" and not np.any(right == 0):
        return np.fmod(left, right)
    return np.fmod(_real(left), _real(right))


def _invert(value: Any) -> Any:
    if _kind(value) == {"f"}:
        raise TypeMismatchError("'~' needs a condition or an integer; write !")
    return np.logical_not(value) if _kind(value) == {"b"} else np.invert(_integer(value))


def _where(condition: Any, yes: Any, no: Any) -> Any:
    if _kind(yes, no) == {"b"}:
        return np.where(truth(condition), yes, no)
    return np.where(truth(condition), _wide(yes), _wide(no))


OPERATORS: dict[str, Callable[..., Any]] = {
    "||": lambda a, b: truth(a) | truth(b),
    "&&": lambda a, b: truth(a) & truth(b),
    "!": lambda a: ~truth(a),
    "~": _invert,
    "|": _bits("|", np.bitwise_or),
    "&": _bits("&", np.bitwise_and),
    "==": lambda a, b: _comparable(a) == _comparable(b),
    "!=": lambda a, b: _comparable(a) != _comparable(b),
    "<": lambda a, b: _comparable(a) < _comparable(b),
    "<=": lambda a, b: _comparable(a) <= _comparable(b),
    ">": lambda a, b: _comparable(a) > _comparable(b),
    ">=": lambda a, b: _comparable(a) >= _comparable(b),
    "+": _whole(np.add),
    "-": _whole(np.subtract),
    "*": lambda a, b: _real(a) * _real(b),
    "/": lambda a, b: _real(a) / _real(b),
    "%": _remainder,
    "**": _power,
    "^": _power,
    "neg": _whole(np.negative),
    "pos": lambda a: _wide(a),
}

CONSTANTS = {"pi": math.pi, "e": math.e, "true": True, "false": False}
"""Names that stand for a number where no branch bears them (``e`` only as ``TMath::E()``)."""


def _real_function(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: function(*map(_real, values))


_UNARY = {
    "sqrt": np.sqrt,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "floor": np.floor,
    "ceil": np.ceil,
    "isnan": np.isnan,
    "isfinite": np.isfinite,
}

_SEGMENTS = (1, 9, 10, 18, 19, 27, 28, 44, 45, 49, 50)  # the first plane code of each
_LAST_PLANE = 173


def _segment(code: Any) -> NDArray[np.int64]:
    """MINERvA's segments of the vertex: before, in and after each of five targets (odd ones)."""
    known = np.nan_to_num(_real(code), nan=0.0)
    known = np.where(known > _LAST_PLANE, 0, known)
    return np.searchsorted(_SEGMENTS, known, side="right").astype(np.int64) - 1


def _delta_phi(one: Any, other: Any) -> NDArray[np.float64]:
    """The difference of two angles, in [-π, π)."""
    turned: NDArray[np.float64] = np.remainder(_real(one) - _real(other) + np.pi, 2 * np.pi)
    return turned - np.pi


def _delta_r(eta: Any, phi: Any, other_eta: Any, other_phi: Any) -> Any:
    return np.hypot(_real(eta) - _real(other_eta), _delta_phi(phi, other_phi))


def _mass(*values: Any) -> Any:
    """The invariant mass of a sum of four-vectors, each given as p_T, eta, phi and mass."""
    total: Any = 0.0
    for pt, eta, phi, mass in zip(*[map(_real, values)] * 4, strict=True):
        energy = np.hypot(mass, pt * np.cosh(eta))
        momentum = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
        total = total + np.stack(np.broadcast_arrays(energy, *momentum))
    return np.sqrt(np.maximum(np.square(total[0]) - np.square(total[1:]).sum(axis=0), 0))


FUNCTIONS: dict[str, Function] = {
    **{name: Function(_real_function(function), (1, 1)) for name, function in _UNARY.items()},
    "abs": Function(_whole(np.abs), (1, 1)),
    "fabs": Function(lambda a: np.abs(_real(a)), (1, 1)),
    "pow": Function(_power, (2, 2)),
    "power": Function(_power, (2, 2)),
    "atan2": Function(_real_function(np.arctan2), (2, 2)),
    "hypot": Function(_real_function(np.hypot), (2, 2)),
    "min": Function(lambda *a: reduce(np.minimum, map(_wide, a)), (2, _MANY)),
    "max": Function(lambda *a: reduce(np.maximum, map(_wide, a)), (2, _MANY)),
    "where": Function(_where, (3, 3)),
    "segment": Function(_segment, (1, 1)),
    "deltaphi": Function(_delta_phi, (2, 2)),
    "deltar": Function(_delta_r, (4, 4)),
    "mass": Function(_mass, (4, _MANY), 4),
}
