"""What a script leans on: ``hepdann.…``, its rooms and its calls."""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
from pathlib import Path

import pytest

import hepdann


def test_every_room_is_there_and_listed(root):
    rooms = {path.parent.name for path in (root / "hepdann").glob("*/__init__.py")}
    assert rooms <= set(dir(hepdann))
    for name in dir(hepdann):
        assert getattr(hepdann, name) is not None
    assert hepdann.methods.names()
    assert hepdann.shifts is sys.modules["hepdann.shifts"]
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        hepdann.trian  # noqa: B018


def public():
    """Every function that a room, or the package itself, names in ``__all__``."""
    rooms = [getattr(hepdann, n) for n in dir(hepdann) if inspect.ismodule(getattr(hepdann, n))]
    for module in [hepdann, *rooms]:
        for name in getattr(module, "__all__", ()):
            if inspect.isfunction(function := getattr(module, name)):
                yield f"{module.__name__}.{name}", function


INTERNAL = {"hepdann.readers.convert_files"}  # hepdann.convert is for scripts


def test_a_path_may_be_a_text_everywhere():
    refusing = []
    for name, function in public():
        if name in INTERNAL:
            continue
        namespace = vars(importlib.import_module(function.__module__))
        for parameter in inspect.signature(function).parameters.values():
            try:
                kind = eval(str(parameter.annotation), {**vars(typing), **namespace, "Path": Path})
            except NameError:  # a type that is imported for type checkers alone
                continue
            kinds = typing.get_args(kind) or (kind,)
            if Path in kinds and str not in kinds:
                refusing.append(f"{name}({parameter.name})")
    assert not refusing
