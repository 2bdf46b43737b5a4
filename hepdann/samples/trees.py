"""Writing samples as real ROOT files: TTrees, block by block, whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["TreeWriter", "appear_together"]


@contextmanager
def appear_together(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Temporary names beside the paths, renamed to them at a clean exit, else removed.

    Folders are made as needed. Whatever interrupts the block, what stood at the paths before still
    stands there.

    Args:
        paths: the files to be written.

    Yields:
        One temporary path a file; the block must create each of them.

    Raises:
        OSError: a folder or file cannot be written; it carries the name of the file.
    """
    folders = {path.parent for path in paths}
    made = [folder for folder in folders if not folder.exists()]
    for folder in folders:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        folder.mkdir(parents=True, exist_ok=True)
    drafts = [path.with_name(f".{path.name}.{secrets.token_hex(4)}.part") for path in paths]
    try:
        yield drafts
        for draft in drafts:
            _sync(draft)
        for draft, path in zip(drafts, paths, strict=True):
            draft.replace(path)
        for folder in folders:
            _sync(folder)
    except BaseException as error:
        for path in (*drafts, *made):
            with suppress(OSError):
                path.rmdir() if path in made else path.unlink()
        if isinstance(error, OSError) and error.filename is None and error.errno is not None:
            # A full disk names no file.
            place = str(paths[0].parent)
            raise OSError(error.errno, os.strerror(error.errno), place) from error
        raise


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class TreeWriter:
    """One zstd-compressed TTree in one new file; a context manager.

    Args:
        path: file to create.
        tree: name of the tree.
        branches: type of each branch.
    """

    def __init__(self, path: Path, tree: str, branches: Mapping[str, DTypeLike]) -> None:
        self._path, self._name, self._branches = path, tree, dict(branches)
        self._stack = ExitStack()
        self._tree: Any = None

    def __enter__(self) -> Self:
        import uproot

        file = self._stack.enter_context(uproot.recreate(self._path, compression=uproot.ZSTD(5)))
        # mktree, for `file[name] = ...` would write an RNTuple
        self._tree = file.mktree(self._name, {k: np.dtype(v) for k, v in self._branches.items()})
        return self

    def extend(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Append a block; every branch must be there and nothing else."""
        self._tree.extend(dict(columns))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)
