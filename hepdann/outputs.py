"""Outputs appear whole or not at all: written beside the target, synced, renamed."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing"]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file so that a reader meets the old one or the whole new one, never a part.

    The temporary name is in the folder of the target, because a rename is atomic within one file
    system only. It is created here, so that an unwritable place fails before any work is done.

    Args:
        path: the output; a symbolic link is followed, an existing file survives any failure.

    Yields:
        The temporary path to write, which takes the name ``path`` at a clean exit and is removed
        when the body raises anything, an interrupt included.

    Raises:
        OSError: the folder does not exist or cannot be written, or the disk is full.
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)
