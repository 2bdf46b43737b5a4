"""Outputs appear whole or not at all: written beside the target, synced, renamed."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing"]

_SHOWN = 60  # characters of the target's name in the temporary one: a name has at most 255 bytes


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
        OSError: the folder does not exist or cannot be written, the disk is full, or ``path`` is
            a folder, a device, a pipe or a socket, which a rename would replace by a file.
    """
    target = Path(os.path.realpath(path))  # resolve() would raise RuntimeError on a loop of links
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if target.exists() and not target.is_file():
        raise FileExistsError(errno.EEXIST, "exists and is no ordinary file", str(path))
    temporary = target.with_name(f".{target.name[:_SHOWN]}.{secrets.token_hex(4)}.part")
    try:
        temporary.touch(exist_ok=False)
    except OSError as error:  # the user's name, not the temporary one
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)
