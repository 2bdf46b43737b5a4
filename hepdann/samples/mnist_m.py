"""Pictures with classes as HDF5 files that ``hepdann convert`` reads; photographs of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, ReadError
from ..inputs import opened_picture
from .files import Domain, check_request, new_arrays, sample_paths, write_files

# ``image`` (n, H, W, C) uint8, ``label`` (n,) and ``event_id`` (n,).
PictureBlock = Mapping[str, NDArray[Any]]
_ARRAYS = {
    "mc": ("image", "label", "event_id"),
    "data": ("image", "event_id"),
    "truth": ("label", "event_id"),
}
_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm")
_MOST = 500  # photographs that are held
_MOST_PIXELS = 20_000_000
_BLOCK = 1_000  # pictures that are drawn together
_MNIST_M_BLOCK = 2_000
_STREAM = 0x313157


@contextmanager
def _picture_file(kind: str, path: Path) -> Iterator[Callable[[PictureBlock], None]]:
    """Create a file of pictures; that of the data has no labels, that of the truth labels alone."""
    with new_arrays(path) as append:
        yield lambda block: append({name: block[name] for name in _ARRAYS[kind]})


def write_drawn(
    draw: Callable[[int, np.random.Generator], NDArray[np.uint8]],
    labels: Sequence[int],
    stream: int,
    folder: str | Path,
    events: int,
    seed: int,
    truth: bool = False,
    *,
    data: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write drawn pictures, equally many of each class; see :func:`hepdann.samples.write`.

    ``draw`` gives one picture (H, W, C) of a label; ``stream`` numbers the samples of one seed.
    ``data``, if there are any, are drawn in the same way, with other event ids.
    """
    check_request(events, seed)

    def blocks(domain: Domain) -> Iterator[tuple[PictureBlock, int]]:
        of_data = domain == "data"
        words, classes = (seed, stream, of_data) if data else (seed, stream), np.array(labels)
        for start in range(0, events, _BLOCK) if data or not of_data else ():
            number = np.arange(start, min(start + _BLOCK, events))
            generator = np.random.default_rng(np.random.SeedSequence([*words, start]))
            label = classes[number % len(classes)]
            block: PictureBlock = {
                "image": np.stack([draw(int(one), generator) for one in label]),
                "label": label.astype(np.uint8),
                "event_id": events * of_data + number,
            }
            yield block, len(number)

    paths = sample_paths(folder, "h5", truth) if data else {"mc": Path(folder) / "mc.h5"}
    return write_files(paths, blocks, _picture_file, progress, (1 + data) * events)


def _read_photographs(folder: str | Path, smallest: int) -> list[NDArray[np.uint8]]:
    """The photographs of a folder and of those in it, in the order of their names."""
    place = Path(folder)
    if not place.is_dir():
        raise ConfigError(
            "no such folder of photographs",
            where=place,
            mend="see data/README.md for where BSDS500 is",
        )
    files = sorted(f for f in place.rglob("*") if f.suffix.lower() in _ENDINGS and f.is_file())
    if not files:
        raise ConfigError("holds no photographs", where=place, mend="name a folder of jpg or png")
    photographs = []
    for file in files[:: -(-len(files) // _MOST)]:
        with opened_picture(file, _MOST_PIXELS) as image:
            pixels = np.asarray(image.convert("RGB"))
        if min(pixels.shape[:2]) <= smallest:
            raise ReadError(f"is smaller than {smallest} pixels", where=file, mend="remove it")
        photographs.append(pixels)
    return photographs


def blend(
    digits: NDArray[np.uint8],
    photographs: Sequence[NDArray[np.uint8]],
    generator: np.random.Generator,
) -> NDArray[np.uint8]:
    """|patch − digit|, pixel by pixel and channel by channel.

    The patch is cut out of a photograph at random (Ganin et al., JMLR 17 (2016) 59, section 5.2.4).
    Digits are (n, H, W), photographs (H', W', 3) each, larger than a digit.

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
    For what is not named here see :func:`hepdann.samples.write`. ``digits`` are (N, H, W) bytes,
    the first ``events`` of which are written, ``photographs`` their folder.

    Raises:
        ConfigError: more digits are asked for than there are, or no photographs.
        ReadError: a photograph cannot be read.
    """
    count = len(digits) if events is None else events
    check_request(count, seed)
    if count > len(digits):
        raise ConfigError(f"there are {len(digits):,} digits, not {count:,}", where="--events")
    pool = _read_photographs(photographs, max(digits.shape[1:]))

    def blocks(domain: Domain) -> Iterator[tuple[PictureBlock, int]]:
        for start in range(0, count, _MNIST_M_BLOCK):
            rows = slice(start, min(start + _MNIST_M_BLOCK, count))
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
    return write_files(paths, blocks, _picture_file, progress, 2 * count)
