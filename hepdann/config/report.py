"""YAML to plain values with their lines, and errors of pydantic as one line that names the key.

Nothing in a document is ever executed. PyYAML reads YAML 1.1, where ``1e-3`` is text, ``on`` is
true, ``010`` is eight and ``1:30`` is ninety. Here scalars mean what they mean in YAML 1.2
(https://yaml.org/spec/1.2.2, core schema), and digits may be grouped by underscores as in Python.
"""

from __future__ import annotations

import re
import reprlib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..errors import ConfigError
from .section import proposal

# The line, counted from 1, on which the value of each path begins.
Lines = dict[tuple[str | int, ...], int]
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^(?:[-+]?[0-9](?:_?[0-9])*|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(
    r"""^(?:[-+]?(?:[0-9](?:_?[0-9])*\.?(?:[0-9](?:_?[0-9])*)?|\.[0-9](?:_?[0-9])*)
    (?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)
_SCALARS = (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("merge", re.compile(r"^<<$"), ["<"]),
)
_STR = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
# A configuration written by hand has some hundred lines. Reading time grows with the text, and
# aliases of aliases (``<<`` of ``<<`` too) hold exponentially many values in a few lines of it.
LARGEST = 1 << 20  # characters of a document
_MOST = 100_000  # values, those counted again that an alias repeats
_DEEPEST = 50  # levels

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
        return _Problem(path, "must not be empty")
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


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader with the scalars of YAML 1.2; libyaml's is ten times as fast."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
    # no dates, sets, binaries: a tag that asks for one is refused like any other
    yaml_constructors = {  # noqa: RUF012
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rsplit(":", 1)[-1] in ("null", "bool", "str", "seq", "map")
    }


class _Dumper(yaml.SafeDumper):
    """Quotes what either YAML 1.1 or 1.2 would not read back as text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    value = 1 << 64 if len(text) > 100 else int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if not -(1 << 63) <= value < 1 << 64:
        raise yaml.constructor.ConstructorError(
            None, None, "an integer of more than 64 bits", node.start_mark
        )
    return value


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node)).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML loses U+0085 in single quotes; in double quotes it escapes all that is not printable
    return dumper.represent_scalar(_STR, text, style=None if text.isprintable() else '"')


class _Walk:
    """Notes the line of every value of a document, and refuses what is no plain one."""

    def __init__(self, source: str) -> None:
        self.lines: Lines = {}
        self._source = source
        self._counts: dict[int, int | None] = {}  # values in a node; None while the walk is inside

    def __call__(self, node: yaml.Node, path: tuple[str | int, ...] = ()) -> int:
        """The number of values in a node; what an alias repeats is counted, not walked again."""
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if id(node) in self._counts:
            known = self._counts[id(node)]
            if known is None:
                raise self._error("an alias refers to what contains it", line)
            return known
        self._counts[id(node)], count = None, 1
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                count += self(item, (*path, index))
        elif isinstance(node, yaml.MappingNode):
            for key, value, below in self._pairs(node, path):
                self.lines[(*path, key.value)] = key.start_mark.line + 1
                count += self(value, below)
        if count > _MOST:
            raise self._error(f"holds more than {_MOST:,} values, aliases counted", line)
        self._counts[id(node)] = count
        return count

    def _pairs(
        self, node: yaml.MappingNode, path: tuple[str | int, ...]
    ) -> Iterator[tuple[yaml.Node, yaml.Node, tuple[str | int, ...]]]:
        """Keys and values of a mapping, each with the path of the value."""
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag not in (_STR, _MERGE):
                name = repr(key.value) if isinstance(key, yaml.ScalarNode) else f"a {key.id}"
                raise self._error(f"{name} cannot be a key", line, "keys are text")
            if key.value in first:
                what = f"the key {key.value!r} appears twice, first on line {first[key.value]}"
                raise self._error(what, line, "keep one of them")
            first[key.value] = line
            yield key, value, path if key.tag == _MERGE else (*path, key.value)

    def _error(self, what: str, line: int, mend: str | None = None) -> ConfigError:
        return ConfigError(what, where=f"{self._source}:{line}", mend=mend)


def parse(text: str, source: str) -> tuple[Any, Lines]:
    """Read one YAML document.

    Args:
        text: the document.
        source: what to call it in an error, a file name.

    Returns:
        The plain values (dict, list, str, int, float, bool, None) and their lines.

    Raises:
        ConfigError: not YAML, too large or too deep, a key that repeats, an integer of more than
            64 bits, or a tag that asks for a Python object.
    """
    if len(text) > LARGEST:
        raise ConfigError(
            f"has more than {LARGEST:,} characters",
            where=source,
            mend="name many input files by a pattern, or in a .txt file",
        )
    walk = _Walk(source)
    try:
        depth = 0  # libyaml would overflow the stack, which ends the process
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise ConfigError("nested too deeply", where=f"{source}:{line}")
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, walk.lines
            walk(node)
            return loader.construct_document(node), walk.lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = source if mark is None else f"{source}:{mark.line + 1}"
        raise ConfigError(
            f"not valid YAML: {error.problem or error.context}",
            where=where,
            mend="indent with spaces, and quote text that holds ': ' or begins with a sign"
            if isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
            else None,
        ) from error
    except (yaml.YAMLError, ValueError, KeyError) as error:  # KeyError: !!bool maybe
        raise ConfigError(f"not valid YAML: {error}", where=source) from error


for _tag, _pattern, _first in _SCALARS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)
_Dumper.add_representer(str, _represent_str)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def dump(values: Any) -> str:
    """Write plain values as YAML, in their own order; :func:`parse` reads the same values back."""
    text: str = yaml.dump(
        values, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True,
        width=100,
    )  # fmt: skip
    return text


def scalar(value: str | float) -> str:
    """One value as it stands in a line of YAML, quoted where it must be."""
    text: str = yaml.dump(
        [value], Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=float("inf")
    )
    return text.strip()[1:-1]
