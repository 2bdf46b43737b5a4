"""Pictures of a file of arrays, or of a folder: which array holds what, and of which class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ReadError
from ..files import FileRef
from ..hdf5 import image_name
from .arrays import Array, ArrayFile, array_file
from .folders import BLOCK_BYTES, Pictures, folder_pictures

_PART = re.compile(r"(?:(train|test|val|valid|validation|extra)[/_](.+)|(.+)[/_]"
                   r"(train|test|val|valid|validation|extra))", re.IGNORECASE)  # fmt: skip
_IMAGES = ("image", "images", "x", "img", "imgs", "pixels", "data")
_LABELS = ("label", "labels", "y", "class_id", "class", "target", "targets")
_IDENTITY = ("event_id", "track")
_ROWS = 4096  # labels at a time
_LARGEST = 4096  # rows or columns of a picture
_MOST_CLASSES = 10_000


@dataclass(frozen=True)
class _Part:
    """The arrays of one part of a file, by what they are."""

    name: str
    image: Array
    label: Array | None
    identity: Mapping[str, Array]


def is_pictures(ref: FileRef) -> bool:
    """Whether a file or folder holds pictures, as far as its beginning and its names say.

    Raises:
        ReadError: it is damaged.
    """
    if ref.remote:
        return False
    path = Path(ref.path)
    if path.is_dir():
        return True
    if path.suffix == ".root" or not path.is_file():
        return False
    file = array_file(ref.path)
    if file is None:
        return False
    hits = any(image_name(name.rsplit("/", 1)[-1]) for name in file.arrays)
    return file.kind != "HDF5" or (not hits and bool(_parts(file)))


def open_pictures(ref: FileRef) -> Pictures:
    """What is in a file or folder of pictures; pixels are not read.

    Args:
        ref: ``path`` or ``path:part``; without a part all parts follow each other.

    Raises:
        ReadError: there are no pictures, they are damaged, or labels do not run along with them.
    """
    if Path(ref.path).is_dir():
        return folder_pictures(ref.path)
    file = array_file(ref.path)
    if file is None:
        raise ReadError(
            "holds no pictures that are known",
            where=ref.path,
            mend="name an npz, HDF5, idx or mat file, or a folder",
        )
    parts = _parts(file)
    if ref.tree is not None:
        parts = [part for part in parts if part.name == ref.tree.lower()]
    if not parts:
        names = ", ".join(sorted(file.arrays)) or "nothing"
        where = ref.path if ref.tree is None else f"{ref.path}:{ref.tree}"
        raise ReadError(
            f"holds no pictures: it has {names}",
            where=where,
            mend="name the arrays image and label",
        )
    return _joined(file, parts, ref.tree or "")


def grey_pictures(ref: FileRef) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All pictures (N, H, W) of a file and the numbers (N,) that are their classes.

    Raises:
        ReadError: they are not grey, of one size and labelled.
    """
    pictures = open_pictures(ref)
    numbered = pictures.label is not None and all(map(str.isdecimal, pictures.classes))
    if not numbered or pictures.colour or pictures.size is None:
        what = "holds no grey digits of one size with labels"
        raise ReadError(what, where=ref.path, mend="name MNIST's file")
    images = np.concatenate([block[..., 0] for block in pictures.blocks()])
    return images, np.array([int(name) for name in pictures.classes])[pictures.label]


def open_labels(ref: FileRef) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of the classes, and (N,) which of them each picture is of; pictures may be absent.

    Raises:
        ReadError: there are no labels, or they are damaged.
    """
    file = None if Path(ref.path).is_dir() else array_file(ref.path)
    if file is not None and not _parts(file):
        for name in _LABELS:
            if name in file.arrays:
                array = file.arrays[name]
                values = _column(array, f"{ref.path}:{name}", array.shape[0]).astype(np.int64)
                known, label = np.unique(values, return_inverse=True)
                return tuple(str(int(value)) for value in known), label.astype(np.int64)
    pictures = open_pictures(ref)
    if pictures.label is None:
        raise ReadError("has no labels", where=ref.path, mend="name an array label")
    return pictures.classes, pictures.label


def _parts(file: ArrayFile) -> list[_Part]:
    """The parts that have pictures, train first."""
    kinds: dict[str, dict[str, Array]] = {}
    for name, array in file.arrays.items():
        match = _PART.fullmatch(name)
        part, word = ("", name) if match is None else (
            (match[1] or match[4]).lower(), match[2] or match[3]
        )  # fmt: skip
        kinds.setdefault(part, {})[word.lower()] = array
    parts = []
    for name in sorted(kinds, key=lambda part: (part not in ("", "train"), part)):
        arrays = kinds[name]
        image = next((arrays[w] for w in _IMAGES if w in arrays and _is_image(arrays[w])), None)
        if image is None:
            continue
        label = next((arrays[w] for w in _LABELS if w in arrays), None)
        parts.append(_Part(name, image, label, {w: arrays[w] for w in _IDENTITY if w in arrays}))
    return parts


def _is_image(array: Array) -> bool:
    return len(array.shape) >= 2 and array.dtype.kind in "buif"


def _joined(file: ArrayFile, parts: Sequence[_Part], part: str) -> Pictures:
    layouts = {_layout(p.image, f"{file.path}:{p.name or 'image'}") for p in parts}
    if len(layouts) > 1:
        raise ReadError(
            "its parts have pictures of different sizes",
            where=file.path,
            mend=f"name one of them: {file.path}:{parts[0].name}",
        )
    (height, width, channels, _) = layout = layouts.pop()
    labelled = [p for p in parts if p.label is not None]
    values = None
    if len(labelled) == len(parts):
        values = np.concatenate([_labels(file, p) for p in parts])
        if file.kind == "mat":  # of SVHN, as MATLAB counts from 1
            values[values == 10] = 0
    known, label = ((), None) if values is None else np.unique(values, return_inverse=True)
    if len(known) > _MOST_CLASSES:
        raise ReadError(
            f"has {len(known):,} classes", where=file.path, mend="labels number the classes"
        )
    return Pictures(
        path=file.path,
        part=part,
        kind=file.kind,
        count=sum(p.image.shape[0] for p in parts),
        size=(height, width),
        colour=channels > 1,
        classes=tuple(str(int(value)) for value in known),
        label=None if label is None else label.astype(np.int64),
        identity=_identity(file, parts, values),
        blocks=partial(_blocks, file.path, parts, layout),
    )


_Layout = tuple[int, int, int, str]  # rows, columns, channels; where the channels stand


def _layout(array: Array, where: str) -> _Layout:
    """How an array holds pictures: (N, H, W), (N, H, W, C), (N, C, H, W) or square ones flat."""
    shape = array.shape[1:]
    layout: _Layout | None = None
    if len(shape) == 1 and (side := round(shape[0] ** 0.5)) ** 2 == shape[0]:
        layout = side, side, 1, "flat"
    elif len(shape) == 2:
        layout = shape[0], shape[1], 1, "none"
    elif len(shape) == 3 and shape[2] in (1, 3, 4):
        layout = shape[0], shape[1], shape[2], "last"
    elif len(shape) == 3 and shape[0] in (1, 3, 4):
        layout = shape[1], shape[2], shape[0], "first"
    if layout is None or not 1 <= min(layout[:2]) <= max(layout[:2]) <= _LARGEST:
        raise ReadError(
            f"is of shape {array.shape}, no pictures",
            where=where,
            mend="expected (N, rows, columns), or with 1, 3 or 4 channels behind or before them",
        )
    return layout


def _labels(file: ArrayFile, part: _Part) -> NDArray[np.int64]:
    assert part.label is not None
    where = f"{file.path}:{part.name or 'label'}"
    values = _column(part.label, where, part.image.shape[0])
    if not np.array_equal(values, np.floor(values)):
        raise ReadError("a label is no whole number", where=where, mend="labels number the classes")
    return values.astype(np.int64)


def _column(array: Array, where: str, rows: int) -> NDArray[Any]:
    """One number a picture."""
    if array.dtype.kind not in "biuf" or int(np.prod(array.shape)) != array.shape[0]:
        raise ReadError(
            f"is of shape {array.shape} and type {array.dtype}, not one number a picture",
            where=where,
            mend="save (N,) whole numbers",
        )
    if array.shape[0] != rows:
        raise ReadError(
            f"has {array.shape[0]:,} rows, and there are {rows:,} pictures",
            where=where,
            mend="save one for each picture",
        )
    parts = [block.reshape(-1) for block in array.blocks(_ROWS)]
    return np.concatenate(parts) if parts else np.zeros(0, array.dtype)


def _identity(
    file: ArrayFile, parts: Sequence[_Part], values: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], ...]:
    """``event_id``, or the track of a sign in its class, where all parts have it."""
    for name in _IDENTITY:
        if not all(name in part.identity for part in parts):
            continue
        columns = [
            _column(p.identity[name], f"{file.path}:{name}", p.image.shape[0]) for p in parts
        ]
        number = np.concatenate(columns).astype(np.int64)
        of_part = np.repeat(np.arange(len(parts)), [len(column) for column in columns])
        with_part = (number,) if len(parts) == 1 else (number, of_part)
        return with_part if name == "event_id" or values is None else (values, *with_part)
    return ()


def _blocks(path: str, parts: Sequence[_Part], layout: _Layout) -> Iterator[NDArray[np.uint8]]:
    height, width, channels, place = layout
    for part in parts:
        each = height * width * channels * part.image.dtype.itemsize
        where, scale = f"{path}:{part.name or 'image'}", 0.0
        for block in part.image.blocks(max(1, BLOCK_BYTES // each)):
            pixels, scale = _as_bytes(block, where, scale)
            if place == "first":
                yield pixels.transpose(0, 2, 3, 1)
            else:
                yield pixels.reshape(len(pixels), height, width, channels)


def _as_bytes(block: NDArray[Any], where: str, scale: float) -> tuple[NDArray[np.uint8], float]:
    """Pixels as bytes: floats up to 1 are fractions of 255, larger ones and integers bytes.

    The first block decides for all that follow, ``scale`` being 0 there.
    """
    if block.dtype == np.uint8:
        return block, 1.0
    if block.dtype == np.bool_:
        return block.astype(np.uint8) * np.uint8(255), 1.0
    low, high = (float(block.min()), float(block.max())) if block.size else (0.0, 0.0)
    if scale == 0.0:
        scale = 255.0 if block.dtype.kind == "f" and high <= 1.001 else 1.0
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high * scale > 255.5:
        raise ReadError(
            f"pixels reach from {low:g} to {high:g}",
            where=where,
            mend="save bytes from 0 to 255, or floats from 0 to 1",
        )
    if block.dtype.kind == "f":
        return np.minimum(np.rint(block * scale), 255).astype(np.uint8), scale
    return block.astype(np.uint8), scale
