"""What the readers of pictures give, and how pictures of several kinds are brought together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 16 << 20  # of pictures that are held at a time
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow has it


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


def brought(pictures: NDArray[np.uint8], size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """Pictures in one size and colour.

    Grey becomes colour by three equal channels, colour grey by its luminance. Sizes change by
    linear interpolation, over all pixels that a smaller one covers (Pillow's ``BILINEAR``).

    Args:
        pictures: (n, H, W, C); a fourth channel, transparency, is left out.
        size: rows and columns.
        channels: 1 or 3.

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
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))


def _resized(pictures: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    from PIL import Image

    out = np.empty((len(pictures), *size, pictures.shape[3]), np.uint8)
    for number, picture in enumerate(pictures):
        flat: Any = picture[..., 0] if picture.shape[2] == 1 else picture
        resized = Image.fromarray(flat).resize(size[::-1], Image.Resampling.BILINEAR)
        out[number] = np.asarray(resized).reshape(*size, -1)
    return out
