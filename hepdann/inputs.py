"""Inputs are regular files that stay the same while they are read, and hold what they should.

A pipe would make its reader wait for ever, a device has no end. The files of a run are passed on,
edited, cut off by full disks and damaged by bad ones: they are checked once, where they are read,
within bounds, so that no later code meets a key that is missing or a number that is none.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .errors import HepdannError, ReadError, RunError

if TYPE_CHECKING:
    from PIL.Image import Image
    from pydantic import TypeAdapter, ValidationError

Stamp = tuple[int, ...]
Kind = TypeVar("Kind")

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_LARGEST = 1 << 27  # bytes of a text; values in memory take ten times as much
_ANEW = "train anew"
_REGULAR = "put the file of the run there"
_PICTURES = ("PNG", "JPEG", "PPM", "BMP", "WEBP")  # what Pillow may take a file for
_INTEGER = re.compile(r"\d{1,9}")


def regular_file(
    path: str | Path,
    error: type[HepdannError] = ReadError,
    *,
    mend: str | None = "name a regular file",
) -> Path:
    """Refuse to open what is not a regular file; to be called before every open for reading.

    The path, of which a symbolic link is followed. One that does not exist passes: its opener says
    what should be there.

    Raises:
        HepdannError: of type ``error``; it is a folder, a pipe, a socket or a device, or the system
            does not say what it is.
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


@contextmanager
def opened_picture(path: Path, most: int = 50_000_000) -> Iterator[Image]:
    """Open a picture of at most so many pixels, which are read within the context.

    Its format is one that Pillow reads without other programs.

    Raises:
        ReadError: it is damaged, too large, or none.
    """
    from PIL import Image

    regular_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=_PICTURES)
        with image:
            if image.width * image.height > most:
                what = f"has {image.width} × {image.height} pixels"
                raise ReadError(what, where=path, mend="make it smaller, or remove it")
            yield image
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        what = f"is no picture that can be read ({str(error).replace(str(path), 'the file')})"
        raise ReadError(what, where=path, mend="copy it again, or remove it") from error


def file_stamp(path: str | Path | int) -> Stamp | None:
    """Size, time of the last change and identity of a local file; ``None`` if there is none."""
    if isinstance(path, str) and "://" in path:
        return None
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev


def read_text(path: Path, *, mend: str = _ANEW) -> str:
    """The text of a file in UTF-8.

    Raises:
        RunError: missing, not a regular file, not text, or larger than any that hepdann writes.
    """
    regular_file(path, RunError, mend=_REGULAR)
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise RunError("is too large to be the file of a run", where=path, mend=mend)
        return content.decode("utf-8")
    except OSError as error:
        raise RunError(f"cannot be read: {error.strerror}", where=path) from error
    except UnicodeDecodeError as error:
        raise RunError("is damaged: not text in UTF-8", where=path, mend=mend) from error


def read_json(path: Path, kind: Any, *, mend: str = _ANEW, nan: bool = False) -> Any:
    """The content of a JSON file as it stands there, with keys that its type does not name.

    ``kind`` is the type that it must have, for pydantic, ``Any`` for none; ``nan`` allows numbers
    that are NaN or infinite.

    Raises:
        RunError: missing, not a regular file, not JSON, or not of that type: it names the key.
    """

    def constant(name: str) -> float:
        if not nan:
            raise ValueError(f"{name} is no number")
        return float(name.replace("Infinity", "inf"))

    text = read_text(path, mend=mend)
    try:
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=constant)
        if "\\ud" in text.lower():  # half of a character, which nothing can be written with
            json.dumps(content, ensure_ascii=False).encode()
    except RecursionError as error:
        raise RunError("is damaged: nested too deeply", where=path, mend=mend) from error
    except ValueError as error:
        raise RunError(f"is damaged: {error}", where=path, mend=mend) from error
    check(content, kind, path, mend=mend)
    return content


def check(content: Any, kind: type[Kind], path: Path, *, mend: str = _ANEW) -> Kind:
    """Content as the type that it should have, an instance of ``kind`` where that is a model.

    Raises:
        RunError: names the first key that is wrong.
    """
    from pydantic import ValidationError

    try:
        checked: Kind = _adapter(cast("Any", kind)).validate_python(content)
    except ValidationError as error:
        raise RunError(f"is damaged: {_first(error)}", where=path, mend=mend) from error
    return checked


def read_rows(
    path: Path, required: Iterable[str], text: Collection[str], *, mend: str = _ANEW
) -> list[dict[str, str]]:
    """The rows of a CSV file, as text.

    Columns that are not of ``text`` hold numbers or nothing; ``epoch`` and ``member`` hold counts.

    Raises:
        RunError: missing, not a regular file, or not such a table: it names line and column.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, mend=mend), newline=""), strict=True)
        names = list(reader.fieldnames or ())
        absent = [name for name in required if name not in names]
        if absent or len(set(names)) < len(names):
            what = f"no column {', '.join(absent)}" if absent else "a column comes twice"
            raise ValueError(what)
        rows = list(reader)
        for number, row in enumerate(rows, 2):
            if None in row or None in row.values():
                raise ValueError(f"line {number} has not {len(names)} fields")
            for name in names:
                if name not in text and not _is_number(name, row[name]):
                    raise ValueError(f"{row[name]!r:.40} in line {number} is no {name}")
    except (ValueError, csv.Error) as error:
        raise RunError(f"is damaged: {error}", where=path, mend=mend) from error
    return rows


def read_tensors(
    path: Path, *, mend: str = _ANEW, prefix: str = "", framework: str = "pt"
) -> tuple[dict[str, str], dict[str, Any]]:
    """What a safetensors file holds: the texts of its header, and tensors by name.

    These are tensors of torch, or arrays of the framework "numpy"; names begin with ``prefix``.

    Raises:
        RunError: missing, not a regular file, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    regular_file(path, RunError, mend=_REGULAR)
    try:
        with safe_open(path, framework=framework) as file:
            keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118 (no dict)
            return file.metadata() or {}, {key: file.get_tensor(key) for key in keys}
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise RunError(f"is damaged: {error}", where=path, mend=mend) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r:.60} appears twice")
    return mapping


def _is_number(name: str, value: str) -> bool:
    if name in ("epoch", "member"):
        return _INTEGER.fullmatch(value) is not None
    try:
        float(value or "nan")
    except ValueError:
        return False
    return True


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, with its place: ``methods.dann.mc: Field required``."""
    detail = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in detail["loc"])
    return f"{place[:120]}: {detail['msg']}" if place else str(detail["msg"])


def first_bytes(path: str, count: int) -> bytes:
    """The first bytes of a local file; none of an address, or of a file that cannot be opened.

    Raises:
        ReadError: it is not a regular file.
    """
    if "://" in path:
        return b""
    try:
        with regular_file(path).open("rb") as stream:
            return stream.read(count)
    except OSError:
        return b""
