"""Names of columns against the branches of a file: what an expression reads, and from where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..expressions import Expression, parse
from ..expressions.functions import CONSTANTS
from .scan import Branch, FileScan, suggest

__all__ = ["Columns", "compile_columns", "compile_text"]


@dataclass(frozen=True)
class Columns:
    """The columns that the branches of one file offer.

    Attributes:
        branches: by name.
        refs: column name to branch and index: ``x[1]`` and ``x_1`` are both ``("x", (1,))``.
    """

    branches: Mapping[str, Branch]
    refs: Mapping[str, tuple[str, tuple[int, ...]]]

    @classmethod
    def of(cls, branches: Mapping[str, Branch]) -> Columns:
        """Name every column; a branch goes before an array element of the same name."""
        refs: dict[str, tuple[str, tuple[int, ...]]] = {}
        for branch in branches.values():
            for column, index in zip(branch.columns, np.ndindex(*branch.shape), strict=False):
                refs[column] = (branch.name, index)
                refs[branch.name + "".join(f"[{i}]" for i in index)] = (branch.name, index)
        refs |= {branch.name: (branch.name, ()) for branch in branches.values() if branch.scalar}
        return cls(branches, refs)

    def reads(self, expression: Expression | None) -> tuple[str, ...]:
        """The branches behind an expression."""
        names = () if expression is None else expression.names
        return tuple(dict.fromkeys(self.refs[name][0] for name in names if name in self.refs))

    def check(self, expression: Expression, where: FileScan) -> None:
        """Whether the expression can be computed from these branches.

        Raises:
            ConfigError: there is no such branch, it cannot become a column, or
                types are mixed that do not mix.
        """
        for name in expression.names:
            if name in self.refs or name in CONSTANTS:
                continue
            place = f"{where.path}:{where.tree}"
            base = self.branches.get(name.split("[", 1)[0])
            if base is None:
                known = [column for column in self.refs if "[" not in column]
                mend = suggest(name, known, what="branches")
                raise ConfigError(
                    f"no branch '{name}', of {expression.where}", where=place, mend=mend
                )
            if base.dtype is None:
                raise ConfigError(
                    f"branch '{base.name}' ({base.typename}), of {expression.where}, cannot be "
                    f"used: {base.reason}",
                    where=place,
                    mend=_one_number(name, base) if base.reason == "its length varies" else None,
                )
            shape = "x".join(map(str, base.shape))
            raise ConfigError(
                f"'{name}', of {expression.where}, does not fit: '{base.name}' is "
                + (f"an array of {shape}" if shape else "a single number"),
                where=place,
                mend=f"write {'one element, ' if shape else ''}{base.columns[0]}",
            )
        empty = {
            name: np.empty((0, *self.branches[name].shape), self.branches[name].dtype)
            for name in self.reads(expression)
        }
        expression.evaluate(self.lookup(empty), 0)

    def lookup(self, arrays: Mapping[str, NDArray[Any]]) -> Callable[[str], NDArray[Any]]:
        """What :meth:`.Expression.evaluate` asks for the values of a column."""

        def values(name: str) -> NDArray[Any]:
            if name not in self.refs:
                return np.asarray(CONSTANTS[name])
            branch, index = self.refs[name]
            at: tuple[Any, ...] = (slice(None), *index)
            column: NDArray[Any] = arrays[branch][at]
            return column

        return values


def _one_number(name: str, branch: Branch) -> str:
    """How a column is made of a branch whose length varies, before it is converted."""
    index = name[len(branch.name) + 1 : -1] or "0"
    element, column = f"{branch.name}[{index}]", f"{branch.name}_{index}"
    return (
        "write one number an event into the file first, as with RDataFrame: "
        f'Define("{column}", "{branch.name}.size() > {index} ? {element} : -999.f"), and convert '
        f"{column} with --missing -999"
    )


def compile_text(text: str, columns: Columns, *, what: str) -> Expression:
    """Parse ``text``, unless it is itself the name of a column (``jet-pt``, ``parent/child``)."""
    if text in columns.refs and "`" not in text:
        parsed = parse(f"`{text}`", what=what)
        return Expression(text, parsed.names, f"{what} '{text}'", parsed.root)
    return parse(text, what=what)


def compile_columns(
    name: str, text: str | None, columns: Columns, *, what: str
) -> Iterable[tuple[str, Expression]]:
    """The column called ``name``, or the columns of a fixed-size array branch.

    Args:
        name: name of the column.
        text: its expression; ``None`` for the branch of that name.
        columns: what the first file offers.
        what: what the column is for, in errors.

    Raises:
        ConfigError: the expression does not parse.
    """
    source = name if text is None else text
    branch = columns.branches.get(source)
    if branch is None or branch.dtype is None or branch.scalar:
        return [(name, compile_text(source, columns, what=what))]
    return [
        (name + column.removeprefix(branch.name), compile_text(column, columns, what=what))
        for column in branch.columns
    ]
