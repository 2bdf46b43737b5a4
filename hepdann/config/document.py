"""YAML to plain values with their lines, and back.

Nothing in a document is ever executed. PyYAML reads YAML 1.1, where ``1e-3`` is text, ``on`` is
true, ``010`` is eight and ``1:30`` is ninety. Here scalars mean what they mean in YAML 1.2
(https://yaml.org/spec/1.2.2, core schema), and digits may be grouped by underscores as in Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from ..errors import ConfigError

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
