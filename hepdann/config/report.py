"""Errors of pydantic as one line that names the key."""

from __future__ import annotations

import reprlib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..errors import ConfigError
from .section import proposal

if TYPE_CHECKING:
    from .document import Lines

_EXPECTED = {
    "int": "an integer",
    "float": "a number",
    "finite": "a finite number",
    "string": "text",
    "bool": "true or false",
    "list": "a list",
    "dict": "a mapping of keys to values",
    "model": "a mapping of keys to values",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_REQUIRED = "this key is required"
_MOST_NAMED = 6
_REPR = reprlib.Repr()  # a bound, because a few lines of YAML aliases can hold 10^9 values
_REPR.maxlevel, _REPR.maxstring = 3, 60


@dataclass
class _Problem:
    path: tuple[str | int, ...]
    message: str
    mend: str | None = None
    expected: list[str] | None = None


def _text(path: Iterable[str | int]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).lstrip(".")


def _show(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = _REPR.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    return {f.alias or name: f.annotation for name, f in model.model_fields.items()}


def _bare(kind: Any) -> Any:
    """The type without ``Annotated`` and without ``None``; a real union stays one."""
    if typing.get_origin(kind) is typing.Annotated:
        return _bare(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (Union, types.UnionType):
        members = [m for m in typing.get_args(kind) if m is not type(None)]
        return _bare(members[0]) if len(members) == 1 else kind
    return kind


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _follow(loc: Iterable[str | int], model: type[BaseModel]) -> tuple[tuple[str | int, ...], Any]:
    """The keys and indices of ``loc``, without pydantic's tags of unions, and the last model."""
    path: list[str | int] = []
    kind: Any = model
    owner: Any = model
    for part in loc:
        kind = _bare(kind)
        origin = typing.get_origin(kind)
        if _is_model(kind):
            owner = kind
            by_name = {name: f.annotation for name, f in kind.model_fields.items()}
            kind = (_keys(kind) | by_name).get(str(part))
        elif origin is list and isinstance(part, int):
            kind = typing.get_args(kind)[0]
        elif origin is dict and part != "[key]":
            kind = typing.get_args(kind)[1]
        elif origin in (Union, types.UnionType):
            # the tag names the member that was tried: descend into it, and leave the tag out
            members = [_bare(m) for m in typing.get_args(kind)]
            kind = next((m for m in members if getattr(m, "__name__", "") == part), None)
            continue
        else:
            continue
        path.append(part)
    return tuple(path), owner


def _unknown_key(key: str, owner: type[BaseModel], root: type[BaseModel]) -> str:
    known = list(_keys(owner))
    for section, kind in _keys(root).items():
        if _is_model(kind) and kind is not owner and key in _keys(kind):
            return f"did you mean '{section}.{key}'?"
    return proposal(key, known, f"known here: {', '.join(known)}")


def _problem(error: ErrorDetails, root: type[BaseModel]) -> _Problem:
    path, owner = _follow(error["loc"], root)
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "hepdann":  # a cross-field check, which may name a key further down
        return _Problem((*path, *context["path"]), context["message"], context["mend"])
    if kind == "extra_forbidden":
        return _Problem(path, "unknown key", _unknown_key(str(path[-1]), owner, root))
    if kind == "missing":
        return _Problem(path, _REQUIRED)
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        return _Problem(path, f"must be {words} {context[name]:g}, got {_show(value)}")
    if kind == "too_short":
        least = context["min_length"]
        return _Problem(path, "must not be empty" if least == 1 else f"needs at least {least}")
    if kind == "literal_error":
        return _Problem(path, "", expected=[str(context["expected"])], mend=_near(value, context))
    expected = _EXPECTED.get(kind.split("_")[0])
    if expected is not None:
        mend = "put it in quotes" if expected == "text" and isinstance(value, int | float) else None
        return _Problem(path, "", expected=[expected], mend=mend)
    return _Problem(path, error["msg"])


def _near(value: Any, context: Mapping[str, Any]) -> str | None:
    known = [word.strip(" '") for word in str(context["expected"]).replace(" or ", ",").split(",")]
    return proposal(value, known, "") or None if isinstance(value, str) else None


def _gather(error: ValidationError, root: type[BaseModel]) -> list[_Problem]:
    """One problem a key: a union reports once for each member that did not fit."""
    problems: dict[tuple[str | int, ...], _Problem] = {}
    for detail in error.errors(include_url=False):
        problem = _problem(detail, root)
        earlier = problems.setdefault(problem.path, problem)
        if earlier is not problem and earlier.expected and problem.expected:
            earlier.expected += problem.expected
            earlier.mend = earlier.mend or problem.mend
        if earlier.expected:
            got = _show(detail["input"])
            earlier.message = f"expected {' or '.join(earlier.expected)}, got {got}"
    return list(problems.values())


def config_error(
    error: ValidationError, root: type[BaseModel], *, source: str | None = None, lines: Lines
) -> ConfigError:
    """Turn a failed validation into a :class:`.ConfigError`.

    Args:
        error: what pydantic raised.
        root: the model that was validated.
        source: the file, if any.
        lines: the line of each path in that file.

    Returns:
        An error that says the first problem in full and names the keys of the others.
    """
    problems = _gather(error, root)
    # a misspelt key comes before the required key that is missing for it
    problems.sort(key=lambda p: (_line(p.path, lines), p.message == _REQUIRED))
    first = problems[0]
    where = _text(first.path)
    if source is not None:
        line = _line(first.path, lines)
        where = f"{source}:{line}: {where}" if line else f"{source}: {where}"
    mend = first.mend
    if len(problems) > 1:
        others = [_text(p.path) for p in problems[1:]]
        more = "" if len(others) <= _MOST_NAMED else f" and {len(others) - _MOST_NAMED} more"
        also = f"also wrong: {', '.join(others[:_MOST_NAMED])}{more}"
        mend = also if mend is None else f"{mend}; {also}"
    return ConfigError(first.message, where=where.rstrip(": ") or None, mend=mend)


def _line(path: tuple[str | int, ...], lines: Lines) -> int:
    while path not in lines and path:
        path = path[:-1]
    return lines.get(path, 0)
