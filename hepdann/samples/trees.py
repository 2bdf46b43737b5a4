"""Writing samples as real ROOT files: TTrees, block by block, whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..outputs import replacing

__all__ = ["appear_together", "new_tree"]


@contextmanager
def appear_together(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Temporary names beside the paths, which take their place at a clean exit, else are removed.

    Folders are made as needed, and removed again. Whatever interrupts the block, what stood at the
    paths before still stands there.

    Args:
        paths: the files to be written.

    Yields:
        One temporary path a file.

    Raises:
        OSError: a folder or file cannot be written; it carries a name even if the disk is full.
    """
    folders = {path.parent for path in paths}
    made = [
        place for folder in folders for place in (folder, *folder.parents) if not place.exists()
    ]
    try:
        for folder in folders:
            if folder.exists() and not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
            folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            yield [stack.enter_context(replacing(path)) for path in paths]
    except BaseException as error:
        for folder in made:
            with suppress(OSError):  # it is not ours alone any more
                folder.rmdir()
        if isinstance(error, OSError) and error.filename is None and error.errno is not None:
            place = str(paths[0].parent)
            raise OSError(error.errno, os.strerror(error.errno), place) from error
        raise


@contextmanager
def new_tree(
    path: Path,
    tree: str,
    branches: Mapping[str, DTypeLike],
    jagged: Mapping[str, str] | None = None,
) -> Iterator[Any]:
    """Create a file with one zstd-compressed TTree.

    Args:
        path: file to create.
        tree: name of the tree.
        branches: type of each branch.
        jagged: types of records that an event has many of, ``{"hit": "{strip: int32, …}"}``: their
            fields become the branches ``hit_strip`` … with one counter ``nhit``.

    Yields:
        uproot's writable tree: ``extend({branch: array})`` appends a block.
    """
    import uproot

    with uproot.recreate(path, compression=uproot.ZSTD(5)) as file:
        types: dict[str, Any] = {name: np.dtype(type_) for name, type_ in branches.items()}
        types |= {name: f"var * {record}" for name, record in (jagged or {}).items()}
        # mktree, for `file[name] = ...` would write an RNTuple
        yield file.mktree(tree, types)
