"""Outputs appear whole or not at all: written beside the target, synced, renamed.

And under names that lead nowhere else.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .errors import HepdannError, RunError

LONGEST_NAME = 100  # letters of a name that a user gives to a file
_MOST_BYTES = 240  # of the same: file systems allow 255, the ending included
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


def jsonable(value: Any) -> Any:
    """Numbers and names as JSON has them; what is not finite becomes ``None``."""
    import numpy as np

    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def name_fault(name: str) -> str | None:
    """Why a text is no name for a file in a folder that is chosen elsewhere; ``None`` if it is one.

    A name has no separator of folders and no control character, begins with no dot, and has one to
    :data:`LONGEST_NAME` letters.
    """
    if not name:
        return "is empty"
    if any(sign in name for sign in "/\\"):
        return "holds a separator of folders"
    if name.startswith("."):
        return "begins with a dot"
    if not name.isprintable():
        return "holds a control character"
    if len(name) > LONGEST_NAME or len(name.encode()) > _MOST_BYTES:
        return f"is longer than {LONGEST_NAME} letters"
    return None


@cache
def _kernel() -> str:
    """Names this boot of this machine and its space of process numbers; empty where unknown.

    Two processes with one such name see each other by number. Hosts of a farm that share a folder,
    containers with numbers of their own, and the time before a reboot have other names.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {space}".encode()).hexdigest()[:8]


def _writer() -> str:
    return f"{_kernel() or 'x'}-{os.getpid()}-{os.urandom(4).hex()}"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # of another user
    return True


def _abandoned(folder: Path, start: str, end: str) -> list[Path]:
    """What writers that were killed on this machine left in a folder, by ends of their names.

    A writer that lives, or that may live on another machine, is never touched.
    """
    if not _kernel():
        return []
    name = re.compile(rf"{start}{_kernel()}-(\d+)-[0-9a-f]{{8}}{end}")
    try:
        entries = [(path, name.fullmatch(path.name)) for path in folder.iterdir()]
    except OSError:  # a folder that may be written but not listed
        return []
    return [path for path, match in entries if match and not _alive(int(match[1]))]


@contextmanager
def drawing_folder(target: Path) -> Iterator[Path]:
    """A temporary folder in ``target`` that goes away with all that is still in it.

    Those of processes that were killed on this machine are removed first.

    Raises:
        OSError: ``target`` cannot be written.
    """
    for left in _abandoned(target, r"\.drawing-", ""):
        shutil.rmtree(left, ignore_errors=True)
    folder = target / f".drawing-{_writer()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
def replacing(path: str | Path, *, lasting: bool = True) -> Iterator[Path]:
    """Write a file so that a reader meets the old one or the whole new one, never a part.

    The temporary name is in the folder of the target, because a rename is atomic within one file
    system only. It is created here, so that an unwritable place fails before any work is done.
    Only SIGKILL or a crash of the machine can leave it behind; the next writer in the same folder
    on the same machine removes it. Of two writers at a time, the one that ends last wins.

    Args:
        path: the output; a symbolic link is followed, an existing file survives any failure.
        lasting: wait until the disk has it, so that it outlives a crash of the machine.

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
    temporary = target.with_name(f".{target.name[:_SHOWN]}.{_writer()}.part")
    try:
        for left in _abandoned(target.parent, r"\..*\.", r"\.part"):
            with suppress(OSError):
                left.unlink(missing_ok=True)
        with _named(path):
            temporary.touch(exist_ok=False)
        yield temporary
        with _named(path):
            if lasting:
                _sync(temporary)
            temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if lasting:
        _sync(target.parent)


def write_whole(path: str | Path, content: bytes | memoryview, *, lasting: bool = True) -> None:
    """Write a file at once, whole or not at all; ``lasting`` as in :func:`replacing`.

    Raises:
        OSError: as :func:`replacing`; it carries the name ``path``.
    """
    with replacing(path, lasting=lasting) as part, _named(path):
        part.write_bytes(content)


@contextmanager
def writing(
    path: str | Path, what: str = "cannot be written", kind: type[HepdannError] = RunError
) -> Iterator[None]:
    """Within it, an error of the system becomes one about a file or folder, of that kind.

    Raises:
        HepdannError: the disk is full or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        reason = f"{what}: {error.strerror or error}"
        raise kind(reason, where=path, mend=mend_of(error)) from error


def write_run_file(path: str | Path, content: bytes | memoryview) -> None:
    """Write a file of a run at once, whole or not at all; raises as :func:`writing`."""
    with writing(path):
        write_whole(path, content)
