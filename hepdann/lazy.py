"""Names of a module that are imported when they are first used (PEP 562)."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any


def getter(module: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module: gives what it imports below ``if TYPE_CHECKING:`` alone."""

    def get(name: str) -> Any:
        imports = _deferred(module)
        if name not in imports:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, attribute = imports[name]
        package = sys.modules[module].__package__
        if home.endswith("."):  # a module of the package
            return importlib.import_module(home + attribute, package)
        return getattr(importlib.import_module(home, package), attribute)

    return get


@cache
def _deferred(module: str) -> Mapping[str, tuple[str, str]]:
    """By name the module, relative as in the source, and what the name is called there."""
    loader: Any = sys.modules[module].__loader__
    blocks = (
        node.body for node in ast.parse(loader.get_source(module)).body if type(node) is ast.If
    )
    imports = [line for block in blocks for line in block if isinstance(line, ast.ImportFrom)]
    return {
        one.asname or one.name: ("." * line.level + (line.module or ""), one.name)
        for line in imports
        for one in line.names
    }
