"""Copies of ROOT files with further branches in one of their trees."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..errors import ConfigError
from ..readers import FileScan
from .row_files import IDENTITY, SEAL, Columns, RowFile

_GROUP = "counted by "  # begins a name that uproot needs and does not write
_FRIEND = "leave --into-copy out: the tree that is then written can be added as a friend"


def copy_with_branches(path: Path, file: FileScan, types: Mapping[str, np.dtype[Any]]) -> RowFile:
    """Begin a copy of a file; the columns become branches of the tree that was scanned.

    Raises:
        ConfigError: the input is no TTree in a local file, has a branch of the same name, or
            branches that uproot cannot write.
    """
    where = f"{file.path}:{file.tree}"
    if file.kind != "TTree" or "://" in file.path:
        what = "a remote file" if "://" in file.path else f"no TTree, but {file.kind}"
        raise ConfigError(f"is {what}: nothing can be added to a copy of it", where=where,
                          mend=_FRIEND)  # fmt: skip
    clash = [name for name in types if name in file.branches]
    if clash:
        raise ConfigError(f"has a branch '{clash[0]}' already", where=where, mend=_FRIEND)
    return _BranchCopy(path, file, types)


class _BranchCopy(RowFile):
    """Adds branches to the tree or, where uproot cannot, writes the tree anew.

    uproot adds branches to trees of one basket a branch. The other tree goes out of the directory
    of the file: of two cycles ROOT opens the first in the directory, where uproot leaves the older.
    """

    def __init__(self, path: Path, file: FileScan, types: Mapping[str, np.dtype[Any]]) -> None:
        self._input = file
        super().__init__(path, file.tree, types, file.entries)

    def _open(self, path: Path, tree: str, entries: int) -> None:
        import uproot

        del entries
        self._old = uproot.open({self._input.path: tree}, array_cache=None)
        self._addable = all(b.num_baskets <= 1 and not b.branches for b in self._old.branches)
        self._layout = None if self._addable else _Layout.of(self._old, self._input)
        shutil.copyfile(self._input.path, path)
        self._file = uproot.update(path)
        self._new: Any = None
        self._name, self._done = tree, 0
        self._kept: list[Columns] = []

    def _write(self, rows: Columns) -> None:
        if self._addable:
            self._kept.append(rows)  # of one basket
            return
        assert self._layout is not None
        if self._new is None:
            self._remove()
            self._new = self._layout.begin(self._file, self._name, self._types)
        stop = self._done + len(rows[IDENTITY])
        self._new.extend({**self._layout.read(self._old, self._done, stop), **rows})
        self._done = stop

    def _remove(self) -> None:
        """Take every cycle of the tree out of the directory."""
        folder, _, name = self._name.rpartition("/")
        directory = self._file[folder] if folder else self._file
        for key in directory.keys(recursive=False):
            if key.rpartition(";")[0] == name:
                del directory[key]

    def _add(self) -> None:
        columns = {n: np.concatenate([rows[n] for rows in self._kept]) for n in self._types}
        try:
            self._file[self._name].add_branches(columns)
        except NotImplementedError:
            self._addable, self._layout = False, _Layout.of(self._old, self._input)
            self._write(columns)

    def _close(self, seal: str) -> None:
        if self._addable and self._kept and seal:
            self._add()
        self._file[SEAL] = seal
        self._file.close()
        self._old.file.close()


@dataclass(frozen=True)
class _Layout:
    """How the branches of a tree are read and written again.

    Attributes:
        plain: one number, or an array of fixed size, an entry.
        counted: name of a counter to the branches whose lengths it holds.
    """

    plain: Mapping[str, np.dtype[Any]]
    counted: Mapping[str, Mapping[str, np.dtype[Any]]]

    @classmethod
    def of(cls, tree: Any, file: FileScan) -> Self:
        """The layout of a tree."""
        import uproot

        plain: dict[str, np.dtype[Any]] = {}
        counted: dict[str, dict[str, np.dtype[Any]]] = {}
        for branch in tree.branches:
            kind, counter = branch.interpretation, branch.count_branch
            jagged = isinstance(kind, uproot.AsJagged) and counter is not None
            content = kind.content if jagged else kind
            numbers = type(content) is uproot.AsDtype and content.to_dtype.base.kind in "biuf"
            if branch.branches or not numbers or (jagged and content.to_dtype.subdtype):
                raise ConfigError(
                    f"branch '{branch.name}' ({branch.typename}) cannot be written to a copy",
                    where=f"{file.path}:{file.tree}",
                    mend=_FRIEND,
                )
            dtype = content.to_dtype.newbyteorder("=")
            if jagged:
                counted.setdefault(counter.name, {})[branch.name] = dtype
            else:
                plain[branch.name] = dtype
        for counter_name in counted:
            plain.pop(counter_name, None)  # uproot writes them
        return cls(plain, counted)

    def begin(self, file: Any, name: str, types: Mapping[str, np.dtype[Any]]) -> Any:
        """Make the tree, with further branches of some types."""
        from awkward.types import ListType, NumpyType, RecordType

        groups = {
            _GROUP + counter: ListType(
                RecordType([NumpyType(t.name) for t in one.values()], [*one])
            )
            for counter, one in self.counted.items()
        }
        return file.mktree(
            name,
            {**self.plain, **groups, **types},
            counter_name=lambda group: group.removeprefix(_GROUP),
            field_name=lambda _, field: field,
        )

    def read(self, tree: Any, start: int, stop: int) -> dict[str, Any]:
        """Some entries of the branches, as the new tree takes them."""
        import awkward

        def array(name: str, library: str) -> Any:
            return tree[name].array(entry_start=start, entry_stop=stop, library=library)

        groups = {
            _GROUP + counter: awkward.zip({name: array(name, "ak") for name in one}, depth_limit=2)
            for counter, one in self.counted.items()
        }
        return {name: array(name, "np") for name in self.plain} | groups
