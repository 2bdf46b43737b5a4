"""Outputs appear whole or not at all: written beside the target, synced, renamed."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["mend_of", "replacing", "write_whole"]

_SHOWN = 60  # characters of the target's name in the temporary one: a name has at most 255 bytes


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def mend_of(error: OSError) -> str:
    """What a user can do about an output that cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "make room there, or write elsewhere" if full else "write elsewhere (-o)"


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Errors of the system carry the user's name of the file, not the temporary one or none."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


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
    with _named(path):
        temporary.touch(exist_ok=False)
    try:
        yield temporary
        with _named(path):
            _sync(temporary)
            temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def write_whole(path: str | Path, content: bytes | memoryview) -> None:
    """Write a file at once, whole or not at all.

    Raises:
        OSError: as :func:`replacing`; it carries the name ``path``.
    """
    with replacing(path) as part, _named(path):
        part.write_bytes(content)
