"""Folders of pictures: one folder a class, as GTSRB and many others are passed on."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...inputs import regular_file
from .source import Pictures

if TYPE_CHECKING:
    from PIL.Image import Image

_ENDINGS = (".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".bmp", ".webp")
_FORMATS = ("PNG", "JPEG", "PPM", "BMP", "WEBP")  # what Pillow may take a file for
_MOST_FILES = 10_000_000
_MOST_PIXELS = 50_000_000
_TRACK = re.compile(r"(\d{5})_(\d{5})")  # of GTSRB: the physical sign, and the number of its photo
_COPY = "copy or download the file again, or remove it"


def folder_pictures(path: str) -> Pictures:
    """The pictures of a folder, whose class is the folder that they lie in.

    Of GTSRB the photographs of one physical sign, a track, are one event.

    Args:
        path: a folder with a folder for each class, or folders that lead to one as GTSRB's do.

    Raises:
        ReadError: no pictures, pictures beside the folders of the classes, or one that is damaged.
    """
    root = _root(Path(path))
    classes = sorted((e.name for e in root.iterdir() if e.is_dir()), key=_order)
    files: list[Path] = []
    label: list[int] = []
    kept: list[str] = []
    for name in classes:
        of_class = sorted(f for f in (root / name).rglob("*") if f.suffix.lower() in _ENDINGS)
        if of_class:
            files += of_class
            label += [len(kept)] * len(of_class)
            kept.append(str(int(name)) if name.isdecimal() else name)
        if len(files) > _MOST_FILES:
            raise ReadError(f"holds more than {_MOST_FILES:,} files", where=path)
    if not files:
        raise ReadError(
            "holds no pictures in folders of their class",
            where=path,
            mend="make a folder for each class",
        )
    sizes, colours = set(), set()
    for file in files:
        size, colour = _look(file)
        sizes.add(size)
        colours.add(colour)
    labels = np.array(label, np.int64)
    matches = [_TRACK.fullmatch(file.stem) for file in files]
    identity: tuple[NDArray[np.int64], ...] = ()
    if all(matches):
        identity = (labels, np.array([int(m[1]) for m in matches if m is not None], np.int64))
    return Pictures(
        path=path,
        part="",
        kind="folder",
        count=len(files),
        size=sizes.pop() if len(sizes) == 1 else None,
        colour=True in colours,
        classes=tuple(kept),
        label=labels,
        identity=identity,
        blocks=partial(_blocks, files),
    )


def _root(path: Path) -> Path:
    """The folder whose folders are the classes: the first that does not hold one folder alone."""
    for _ in range(8):
        if any(e.suffix.lower() in _ENDINGS for e in path.iterdir() if e.is_file()):
            raise ReadError(
                "has pictures beside the folders of the classes",
                where=path,
                mend="put each picture into a folder of its class",
            )
        folders = [entry for entry in path.iterdir() if entry.is_dir()]
        if len(folders) != 1:
            return path
        if any(e.suffix.lower() in _ENDINGS for e in folders[0].iterdir()):
            return path  # a single class
        path = folders[0]
    raise ReadError("is nested too deeply", where=path, mend="name the folder of the classes")


def _order(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _look(file: Path) -> tuple[tuple[int, int], bool]:
    """Rows and columns of a picture, and whether it has colours; its pixels are not read."""
    with _opened(file) as image:
        return (image.height, image.width), image.mode not in ("1", "L", "LA", "I", "I;16")


def _blocks(files: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    for file in files:
        with _opened(file) as image:
            try:
                grey = image.mode in ("1", "L", "LA", "I", "I;16")
                pixels = np.asarray(image.convert("L" if grey else "RGB"))
            except (OSError, ValueError, SyntaxError, EOFError) as error:
                raise _damaged(file, error) from error
        yield pixels.reshape(1, *pixels.shape[:2], -1)


def _opened(file: Path) -> Image:
    """A picture whose pixels are not read yet."""
    from PIL import Image

    regular_file(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=_FORMATS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _damaged(file, error) from error
    if image.width * image.height > _MOST_PIXELS:
        image.close()
        raise ReadError(
            f"has {image.width} × {image.height} pixels",
            where=file,
            mend="make it smaller, or remove it",
        )
    return image


def _damaged(file: Path, error: Exception) -> ReadError:
    reason = str(error).replace(os.fspath(file), "the file")
    return ReadError(f"is no picture that can be read ({reason})", where=file, mend=_COPY)
