"""Writing samples as real ROOT files: TTrees, block by block, whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["appear_together", "new_tree"]


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
    made = [
        place for folder in folders for place in (folder, *folder.parents) if not place.exists()
    ]
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
        for draft in drafts:
            with suppress(OSError):
                draft.unlink()
        for folder in made:  # only those that are empty can go
            with suppress(OSError):
                folder.rmdir()
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


@contextmanager
def new_tree(path: Path, tree: str, branches: Mapping[str, DTypeLike]) -> Iterator[Any]:
    """Create a file with one zstd-compressed TTree.

    Args:
        path: file to create.
        tree: name of the tree.
        branches: type of each branch.

    Yields:
        uproot's writable tree: ``extend({branch: array})`` appends a block.
    """
    import uproot

    with uproot.recreate(path, compression=uproot.ZSTD(5)) as file:
        # mktree, for `file[name] = ...` would write an RNTuple
        yield file.mktree(tree, {name: np.dtype(type_) for name, type_ in branches.items()})
