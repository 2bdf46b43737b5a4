"""What a user calls "the files": paths, globs, lists, ``path:tree``, remote addresses."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config import expand_path
from ..errors import ReadError
from ..inputs import regular_file

_WILDCARD = re.compile(r"[*?\[]")
_LONGEST_LIST = 1 << 26  # bytes; a million of long paths
_MEND = "check the spelling, or quote the pattern"


@dataclass(frozen=True)
class FileRef:
    """One input file.

    Attributes:
        path: local path or remote address (``root://…``).
        tree: tree named with ``path:tree``; ``None`` where it was not.
    """

    path: str
    tree: str | None = None

    @property
    def remote(self) -> bool:
        """Whether the file is not on a local disk."""
        return "://" in self.path

    @property
    def identity(self) -> str:
        """What two names of one file have in common."""
        return self.path if self.remote else str(Path(self.path).resolve())


def resolve(
    patterns: str | Sequence[str], *, where: str | None = None, missing: bool = False
) -> tuple[FileRef, ...]:
    """Turn what the user wrote into a list of files.

    Args:
        patterns: paths, globs (``**`` too), comma-separated lists, ``path:tree``, addresses with a
            scheme, or ``.txt`` lists with one of these a line (``#`` starts a comment; relative
            paths count from the working folder, then from the folder of the list).
        where: what to name in an error, for example ``samples[0].files``.
        missing: whether a file that is named, not matched, may be missing.

    Returns:
        The files in the order given; those of a glob sorted by name. Never empty.

    Raises:
        ReadError: a file does not exist, a pattern matches none, or a file is named twice.
        ConfigError: a variable in a path is not set.
    """
    given = [patterns] if isinstance(patterns, str) else list(patterns)
    refs = [
        ref
        for text in given
        for ref in _one(expand_path(text.strip(), where=where), missing=missing)
    ]
    if not refs:
        raise ReadError("no files given", where=where, mend="name at least one ROOT file")
    known: set[tuple[str, str | None]] = set()
    for ref in refs:
        key = (ref.identity, ref.tree)
        if key in known:
            raise ReadError(
                "the file is named twice, its events would count twice",
                where=ref.path,
                mend="remove one of the two (overlapping patterns?)",
            )
        known.add(key)
    return tuple(refs)


def _one(text: str, *, base: Path | None = None, missing: bool) -> Iterable[FileRef]:
    if not text:
        return []
    if not Path(text).exists() and "," in text:
        return [
            ref
            for part in text.split(",")
            for ref in _one(part.strip(), base=base, missing=missing)
        ]
    path, tree = _split_tree(text.removeprefix("file://"))
    if "://" in path:
        if _WILDCARD.search(path.split("?", 1)[0]):
            raise ReadError(
                "wildcards in remote addresses are not expanded",
                where=path,
                mend="list the addresses in a .txt file",
            )
        return [FileRef(path, tree)]
    return [
        ref for name in _local(path, base, missing) for ref in _open_list(name, tree, base, missing)
    ]


def _split_tree(text: str) -> tuple[str, str | None]:
    """``path:tree`` in its parts; a colon of a scheme, a port or a file name is none."""
    if Path(text).exists():
        return text, None
    head, colon, tail = text.rpartition(".root:")
    if colon:
        return head + ".root", tail or None
    head, colon, tail = text.rpartition(":")
    if colon and "://" not in text and tail and (Path(head).exists() or _WILDCARD.search(head)):
        return head, tail
    return text, None


def _local(path: str, base: Path | None, missing: bool) -> list[str]:
    tries = [path] if base is None else [path, str(base / path)]
    for name in tries:
        if Path(name).exists():
            return [name]
    if not _WILDCARD.search(path):
        if missing and path.endswith((".root", ".h5", ".hdf5")):
            return [path]
        raise ReadError("no such file", where=path, mend=_MEND)
    for name in tries:
        # not Path.glob: the folders of an absolute pattern hold wildcards too
        matches = glob.glob(name, recursive=True)  # noqa: PTH207
        existing = sorted(match for match in matches if Path(match).is_file())
        if existing:
            return existing
    raise ReadError("the pattern matches no file", where=path, mend=_MEND)


def _open_list(path: str, tree: str | None, base: Path | None, missing: bool) -> Iterable[FileRef]:
    mend = f"write '{path.rstrip('/')}/*.root'" if Path(path).is_dir() else "name a ROOT file"
    if regular_file(path, mend=mend).suffix != ".txt":
        return [FileRef(path, tree)]
    if base is not None:
        raise ReadError("is a file list inside a file list", where=path, mend="name ROOT files")
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LONGEST_LIST + 1)
        if len(content) > _LONGEST_LIST:
            raise ReadError("is too large for a file list", where=path, mend="name ROOT files")
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ReadError("is not a text file", where=path, mend="one path a line") from None
    entries = [line.split("#", 1)[0].strip() for line in lines]
    folder = Path(path).resolve().parent
    refs = [
        FileRef(ref.path, ref.tree or tree)
        for entry in entries
        for ref in _one(expand_path(entry, where=path), base=folder, missing=missing)
    ]
    if not refs:
        raise ReadError("the file list is empty", where=path, mend="one path a line")
    return refs
