"""What the readers of pictures give, and folders of them: one folder a class, as GTSRB has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ...inputs import opened_picture

BLOCK_BYTES = 16 << 20  # of pictures that are held at a time
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow has it
_STEEP = 51  # of 255, one standard deviation of a picture whose contrast is standardised
_ENDINGS = (".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".bmp", ".webp")
_GREY = ("1", "L", "LA", "I", "I;16")  # modes of Pillow
_MOST_FILES = 10_000_000
_TRACK = re.compile(r"(\d{5})_(\d{5})")  # of GTSRB: the physical sign, and the number of its photo


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of a file or folder; no pixel is read before :attr:`blocks` is called.

    Attributes:
        path: where they are from.
        part: of the file, "train" for example; empty where that is all of it.
        kind: of the file, in words.
        count: number of pictures.
        size: rows and columns; ``None`` of pictures of several sizes.
        colour: whether they have three channels.
        classes: names of the classes that labels index; empty without labels.
        label: (N,) index into ``classes``; ``None`` without labels.
        identity: columns (N,) that identify a picture; empty where its pixels do.
        blocks: reads all pictures in order: (n, H, W, C) uint8; of several sizes one by one.
    """

    path: str
    part: str
    kind: str
    count: int
    size: tuple[int, int] | None
    colour: bool
    classes: tuple[str, ...]
    label: NDArray[np.int64] | None
    identity: tuple[NDArray[np.int64], ...]
    blocks: Callable[[], Iterator[NDArray[np.uint8]]]


def resize_pictures(
    pictures: NDArray[np.uint8], size: tuple[int, int], channels: int, *, standardise: bool = False
) -> NDArray[np.uint8]:
    """Pictures in one size and colour.

    Grey becomes colour by three equal channels, colour grey by its luminance. Sizes change by
    linear interpolation, over all pixels that a smaller one covers (Pillow's ``BILINEAR``).
    Standardising maps the mean of all pixels and channels of a picture to 128 and 2.5 of their
    standard deviations to the ends of a byte (global contrast normalisation, as Sermanet and LeCun,
    IJCNN 2011).

    Args:
        pictures: (n, H, W, C); a fourth channel, transparency, is left out.
        size: rows and columns.
        channels: 1 or 3.
        standardise: whether all get the same brightness and contrast.

    Returns:
        (n, channels, rows, columns).
    """
    if pictures.shape[3] > 3:
        pictures = pictures[..., :3]
    if pictures.shape[3] == 3 and channels == 1:
        grey = np.rint(pictures.astype(np.float32) @ _LUMINANCE)
        pictures = grey.astype(np.uint8)[..., None]
    if pictures.shape[1:3] != size:
        pictures = _resized(pictures, size)
    if pictures.shape[3] == 1 and channels == 3:
        pictures = np.broadcast_to(pictures, (*pictures.shape[:3], 3))
    if standardise:
        mean, std = (f(pictures, (1, 2, 3), np.float32, keepdims=True) for f in (np.mean, np.std))
        scaled = 128 + _STEEP * (pictures - mean) / np.maximum(std, 1)
        pictures = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))


def _resized(pictures: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    from PIL import Image

    out = np.empty((len(pictures), *size, pictures.shape[3]), np.uint8)
    for number, picture in enumerate(pictures):
        flat: Any = picture[..., 0] if picture.shape[2] == 1 else picture
        resized = Image.fromarray(flat).resize(size[::-1], Image.Resampling.BILINEAR)
        out[number] = np.asarray(resized).reshape(*size, -1)
    return out


def folder_pictures(path: str) -> Pictures:
    """The pictures of a folder, whose class is the folder that they lie in.

    Of GTSRB the photographs of one physical sign, a track, are one event.

    Args:
        path: a folder with a folder for each class, or folders that lead to one as GTSRB's do.

    Raises:
        ReadError: no pictures, pictures beside the folders of the classes, or one that is damaged.
    """
    root = _root(Path(path))
    classes = sorted(
        (entry.name for entry in root.iterdir() if entry.is_dir()),
        key=lambda name: (0, int(name), name) if name.isdecimal() else (1, 0, name),
    )
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
        with opened_picture(file) as image:  # its pixels are not read
            sizes.add((image.height, image.width))
            colours.add(image.mode not in _GREY)
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


def _blocks(files: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    for file in files:
        with opened_picture(file) as image:
            pixels = np.asarray(image.convert("L" if image.mode in _GREY else "RGB"))
        yield pixels.reshape(1, *pixels.shape[:2], -1)
