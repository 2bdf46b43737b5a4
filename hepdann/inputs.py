"""Inputs are regular files that stay the same while they are read.

A pipe would make its reader wait for ever, a device has no end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .errors import HepdannError, ReadError

__all__ = ["Stamp", "file_stamp", "regular_file"]

Stamp = tuple[int, ...]

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def regular_file(
    path: str | Path,
    error: type[HepdannError] = ReadError,
    *,
    mend: str | None = "name a regular file",
) -> Path:
    """Refuse to open what is not a regular file; to be called before every open for reading.

    Args:
        path: a local file; a symbolic link is followed.
        error: what to raise.
        mend: what the user can do.

    Returns:
        The path. One that does not exist passes: its opener says what should be there.

    Raises:
        HepdannError: of type ``error``; it is a folder, a pipe, a socket or a device, or the
            system does not say what it is.
    """
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return Path(path)
    except OSError as failure:
        raise error(f"cannot be opened ({failure.strerror})", where=path, mend=mend) from None
    except ValueError:  # a null byte in the name
        raise error("is no name of a file", where=repr(str(path)), mend=mend) from None
    if kind != stat.S_IFREG:
        what = _KINDS.get(kind, "something special")
        raise error(f"is {what}, not a file", where=path, mend=mend)
    return Path(path)


def file_stamp(path: str | Path | int) -> Stamp | None:
    """Size, time of the last change and identity of a local file; ``None`` if there is none.

    Args:
        path: its name, or the descriptor of the open file.
    """
    if isinstance(path, str) and "://" in path:
        return None
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev
