"""MNIST-M: digits blended with photographs, as the DANN paper makes its target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .files import Domain, check_request, sample_paths, write_files
from .pictures import PictureBlock, picture_file, read_photographs

_BLOCK = 2_000
_STREAM = 0x313157


def blend(
    digits: NDArray[np.uint8],
    photographs: Sequence[NDArray[np.uint8]],
    generator: np.random.Generator,
) -> NDArray[np.uint8]:
    """|patch − digit|, pixel by pixel and channel by channel.

    The patch is cut out of a photograph at random (Ganin et al., JMLR 17 (2016) 59, section 5.2.4).

    Args:
        digits: (n, H, W).
        photographs: (H', W', 3) each, larger than a digit.
        generator: of the choices.

    Returns:
        (n, H, W, 3).
    """
    count, height, width = digits.shape
    which = np.asarray(generator.integers(len(photographs), size=count))
    at = generator.random((count, 2))
    out = np.empty((count, height, width, 3), np.uint8)
    for number, digit in enumerate(digits):
        photograph = photographs[int(which[number])]
        room = np.array(photograph.shape[:2]) - (height, width) + 1
        row, column = np.asarray(at[number] * room, np.int64).tolist()
        patch = photograph[row : row + height, column : column + width].astype(np.int16)
        out[number] = np.abs(patch - digit[..., None])
    return out


def write_mnist_m(
    folder: str | Path,
    events: int | None,
    seed: int,
    truth: bool,
    *,
    digits: NDArray[np.uint8],
    labels: NDArray[Any],
    photographs: str | Path,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write digits as MC and the same digits, each blended with a photograph, as data.

    A digit has one ``event_id`` in both, so that no digit is trained on as MC and tested as data.
    For what is not named here see :func:`hepdann.samples.write`.

    Args:
        folder: for the files.
        events: digits, the first ones; default all.
        seed: of the blending.
        truth: whether to write the labels of the data too.
        digits: (N, H, W) bytes.
        labels: (N,) of each.
        photographs: folder of them.
        progress: called with the pictures done and the pictures in all.

    Raises:
        ConfigError: more digits are asked for than there are, or no photographs.
        ReadError: a photograph cannot be read.
    """
    count = len(digits) if events is None else events
    check_request(count, seed)
    if count > len(digits):
        raise ConfigError(f"there are {len(digits):,} digits, not {count:,}", where="--events")
    pool = read_photographs(photographs, max(digits.shape[1:]))

    def blocks(domain: Domain) -> Iterator[tuple[PictureBlock, int]]:
        for start in range(0, count, _BLOCK):
            rows = slice(start, min(start + _BLOCK, count))
            images = digits[rows][..., None]
            if domain == "data":
                words = np.random.SeedSequence([seed, _STREAM, start])
                images = blend(digits[rows], pool, np.random.default_rng(words))
            block: PictureBlock = {
                "image": images,
                "label": labels[rows].astype(np.uint8),
                "event_id": np.arange(rows.start, rows.stop, dtype=np.int64),
            }
            yield block, len(images)

    paths = sample_paths(folder, "h5", truth)
    return write_files(paths, blocks, picture_file, progress, 2 * count)
