"""Pictures with classes as HDF5 files: digits on photographs; numbers, shapes and signs, drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

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
_MNIST_M_STREAM = 0x313157


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
                words = np.random.SeedSequence([seed, _MNIST_M_STREAM, start])
                images = blend(digits[rows], pool, np.random.default_rng(words))
            block: PictureBlock = {
                "image": images,
                "label": labels[rows].astype(np.uint8),
                "event_id": np.arange(rows.start, rows.stop, dtype=np.int64),
            }
            yield block, len(images)

    paths = sample_paths(folder, "h5", truth)
    return write_files(paths, blocks, _picture_file, progress, 2 * count)


Picture = Image.Image
_NUMBER_SIDE, _NUMBER_LARGE = 32, 96  # pixels, as stored and as drawn
_NUMBERS_STREAM = 0x5EED
SHAPES = ("circle", "square", "triangle")
_CORNERS = {"square": 4, "triangle": 3}
_SHAPE_SIDE, _FINER = 32, 8
_RADII = (5.0, 13.0)  # pixels, of the circle around it
_CONTRAST = 64  # least difference of the two greys
_NOISE = 8.0  # largest standard deviation of a pixel
_SHAPES_STREAM = 0x5A9E
CLASSES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 17)  # by their numbers in GTSRB
_LIMITS = {0: "20", 1: "30", 2: "50", 3: "60", 4: "70", 5: "80", 7: "100", 8: "120"}
_SIGN_SIDE, _SIGN_LARGE, _SIGN = 40, 120, 240
_SIGNS_STREAM = 0x5160
_RED, _WHITE, _BLACK, _GREY = (190, 20, 30), (245, 245, 245), (25, 25, 28), (125, 125, 128)
_YELLOW = (250, 190, 20)


@cache
def fonts() -> tuple[Path, ...]:
    """The text fonts that matplotlib brings: DejaVu Sans, Sans Mono and Serif in all styles."""
    from matplotlib import get_data_path

    folder = Path(get_data_path()) / "fonts" / "ttf"
    files = sorted(folder.glob("DejaVuS*.ttf"))
    return tuple(file for file in files if "Display" not in file.stem)


@cache
def font(file: Path, size: int) -> ImageFont.FreeTypeFont:
    """A font of some size, read once."""
    return ImageFont.truetype(str(file), size)


def background(side: int, generator: np.random.Generator) -> Picture:
    """Colours that change smoothly, some with straight edges between them, as streets have."""
    cells = int(generator.integers(2, 6))
    base = generator.uniform(40, 200, 3)
    spread = generator.uniform(5, 70)
    grid = np.clip(base + generator.normal(0, spread, (cells, cells, 3)), 0, 255).astype(np.uint8)
    kind = Image.Resampling.NEAREST if generator.random() < 0.25 else Image.Resampling.BICUBIC
    picture = Image.fromarray(grid).resize((side, side), kind)
    return picture.rotate(float(generator.uniform(0, 360)), Image.Resampling.BILINEAR,
                          fillcolor=tuple(int(c) for c in base))  # fmt: skip


def _photographed(
    picture: Picture,
    side: int,
    generator: np.random.Generator,
    *,
    blur: float,
    noise: float,
    light: tuple[float, float],
) -> NDArray[np.uint8]:
    """A drawing as a camera would see it."""
    scale = picture.width / side
    picture = picture.filter(ImageFilter.GaussianBlur(scale * generator.uniform(0, blur)))
    picture = picture.resize((side, side), Image.Resampling.BOX)
    pixels = np.asarray(picture, np.float32)
    low, high = np.log(light[0]), np.log(light[1])
    gain = np.exp(generator.uniform(low, high))
    tint = generator.normal(1, 0.06, 3)
    ramp = np.linspace(-1, 1, side)
    slope = generator.normal(0, 0.12, 2)
    field = 1 + slope[0] * ramp[:, None] + slope[1] * ramp[None]
    haze = generator.uniform(0, 40) * generator.random()
    pixels = pixels * field[..., None] * (gain * tint) + haze
    pixels = pixels + generator.normal(0, generator.uniform(0, noise), pixels.shape)
    photographed: NDArray[np.uint8] = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return photographed


def _draw_number(digit: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """A picture (32, 32, 3) with a digit in its middle, and mostly others beside it."""
    file = fonts()[generator.integers(len(fonts()))]
    face = font(file, int(generator.integers(60, 92)))
    colour = generator.integers(0, 256, 3)
    if generator.random() < 0.5:
        picture = background(_NUMBER_LARGE, generator)
    else:
        picture = Image.new(
            "RGB", (_NUMBER_LARGE, _NUMBER_LARGE), tuple(map(int, generator.integers(0, 256, 3)))
        )
    middle = np.asarray(picture, np.float32).mean((0, 1))
    while np.abs(colour - middle).max() < 70:
        colour = generator.integers(0, 256, 3)
    layer = Image.new("L", picture.size)
    pen = ImageDraw.Draw(layer)
    width = face.getlength("0") * float(generator.uniform(0.95, 1.15))
    for place in (-1, 0, 1):
        if place and generator.random() < 0.35:
            continue
        text = str(digit) if place == 0 else str(generator.integers(10))
        pen.text(
            (_NUMBER_LARGE / 2 + place * width, _NUMBER_LARGE / 2), text, 255, face, anchor="mm"
        )
    turn, shear = generator.normal(0, 7), generator.normal(0, 0.12)
    stretch = generator.uniform(0.9, 1.35)
    moved = generator.normal(0, 4, 2)
    layer = layer.rotate(float(turn), Image.Resampling.BILINEAR)
    centre = _NUMBER_LARGE / 2
    layer = layer.transform(
        layer.size, Image.Transform.AFFINE,
        (stretch, shear, centre * (1 - stretch - shear) + moved[0], 0, 1, moved[1]),
        Image.Resampling.BILINEAR,
    )  # fmt: skip
    picture.paste(tuple(map(int, colour)), (0, 0), layer)
    return _photographed(picture, _NUMBER_SIDE, generator, blur=1.4, noise=14, light=(0.5, 1.3))


write_numbers = partial(write_drawn, _draw_number, range(10), _NUMBERS_STREAM)


def draw_shape(shape: str, generator: np.random.Generator) -> NDArray[np.uint8]:
    """A grey picture (32, 32, 1) of one shape, whole, of any size, place, angle and two greys."""
    radius = generator.uniform(*_RADII)
    middle = generator.uniform(radius, _SHAPE_SIDE - radius, 2)
    ground, grey = generator.integers(0, 256, 2)
    while abs(int(ground) - int(grey)) < _CONTRAST:
        ground, grey = generator.integers(0, 256, 2)
    start = generator.uniform(0, 2 * np.pi)
    picture = Image.new("L", (_SHAPE_SIDE * _FINER, _SHAPE_SIDE * _FINER), int(ground))
    pen = ImageDraw.Draw(picture)
    if shape == "circle":
        low, high = (_FINER * (middle - radius)).tolist(), (_FINER * (middle + radius)).tolist()
        pen.ellipse((*low, *high), int(grey))
    else:
        corners = _CORNERS[shape]
        angles = start + 2 * np.pi * np.arange(corners) / corners
        rim = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        pen.polygon([tuple(p) for p in (_FINER * (middle + radius * rim)).tolist()], int(grey))
    pixels = np.asarray(
        picture.resize((_SHAPE_SIDE, _SHAPE_SIDE), Image.Resampling.BOX), np.float32
    )
    noise = generator.normal(0, generator.uniform(0, _NOISE), pixels.shape)
    drawn: NDArray[np.uint8] = np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    return drawn[..., None]


write_shapes = partial(
    write_drawn, lambda label, generator: draw_shape(SHAPES[label], generator),
    range(len(SHAPES)), _SHAPES_STREAM, data=True,
)  # fmt: skip


def _draw_sign(sign: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """A picture (40, 40, 3) of a sign of this number in GTSRB, in some pose and light."""
    picture = _street(generator)
    face = _face(sign, int(generator.integers(3)))
    size = _SIGN_LARGE * generator.uniform(0.62, 0.9)
    turn, lean = np.radians(generator.normal(0, 4)), generator.normal(0, 0.06)
    wide, high = generator.uniform(0.82, 1.05), generator.uniform(0.92, 1.05)
    scale = _SIGN / size
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    matrix = scale * matrix @ np.array([[1 / wide, lean], [0, 1 / high]])
    middle = _SIGN_LARGE / 2 + generator.normal(0, 0.035 * _SIGN_LARGE, 2)
    offset = _SIGN / 2 - matrix @ middle
    bend = generator.normal(0, 0.0006, 2)  # perspective
    moved = face.transform(
        picture.size, Image.Transform.PERSPECTIVE,
        (*matrix[0], offset[0], *matrix[1], offset[1], *bend), Image.Resampling.BILINEAR,
    )  # fmt: skip
    shade = np.exp(-abs(generator.normal(0, 0.5)))  # against the light it is darker
    picture.paste(moved.convert("RGB").point(lambda value: value * shade), (0, 0), moved)
    return _photographed(picture, _SIGN_SIDE, generator, blur=1.8, noise=4, light=(0.15, 2.2))


def _street(generator: np.random.Generator) -> Picture:
    """What stands behind a sign: leaves, walls or sky, of little colour, bright or in the shade."""
    grey = 255 * generator.beta(0.8, 1.1)
    rough = generator.uniform(0, 0.45) * min(grey, 160) + 4
    light = np.full((_SIGN_LARGE, _SIGN_LARGE, 1), grey)
    for cells in (2, 4, 8, 16):  # edges of all sizes
        grid = generator.normal(0, rough, (cells, cells)).astype(np.float32)
        kind = Image.Resampling.NEAREST if generator.random() < 0.3 else Image.Resampling.BICUBIC
        patches = Image.fromarray(grid).rotate(float(generator.uniform(0, 360)), expand=False)
        light = light + np.asarray(patches.resize((_SIGN_LARGE, _SIGN_LARGE), kind))[..., None] / 2
    warm = generator.normal(0, 0.08)
    tint = np.array([1 + warm, 1 + generator.normal(0, 0.03), 1 - warm])
    return Image.fromarray(np.clip(light * tint, 0, 255).astype(np.uint8))


@cache
def _face(sign: int, style: int) -> Picture:
    """A sign from the front, transparent around it; styles differ in the weight of its letters."""
    large = Image.new("RGBA", (2 * _SIGN, 2 * _SIGN), (0, 0, 0, 0))
    pen, side = ImageDraw.Draw(large), 2 * _SIGN
    if sign in _LIMITS:
        _disc(pen, side, 0.0, _RED)
        _disc(pen, side, 0.12, _WHITE)
        _text(large, _LIMITS[sign], _BLACK, 0.52, style)
    elif sign == 6:
        _disc(pen, side, 0.0, _GREY)
        _disc(pen, side, 0.03, _WHITE)
        _text(large, "80", _GREY, 0.52, style)
        for shift in np.linspace(-0.12, 0.12, 5) * side:
            low, high = 0.18 * side + shift, 0.82 * side + shift
            pen.line((low, high, high, low), _BLACK, round(0.022 * side))
    elif sign == 12:
        for inset, colour in ((0.0, _GREY), (0.025, _WHITE), (0.21, _YELLOW)):
            a, m = inset * side, side / 2
            pen.polygon([(m, a), (side - a, m), (m, side - a), (a, m)], colour)
    elif sign == 13:
        for inset, colour in ((0.0, _RED), (0.15, _WHITE)):
            low, high = 0.06 + 0.58 * inset, 0.92 - 1.1 * inset
            left = 0.02 + 1.0 * inset
            corners = ((left, low), (1 - left, low), (0.5, high))
            pen.polygon([(x * side, y * side) for x, y in corners], colour)
    elif sign == 14:
        for radius, colour in ((0.54, _WHITE), (0.51, _RED)):
            angles = np.radians(22.5 + 45 * np.arange(8))
            corners8 = side / 2 + radius * side * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            pen.polygon([(float(x), float(y)) for x, y in corners8], colour)
        _text(large, "STOP", _WHITE, 0.36, style)
    else:
        _disc(pen, side, 0.0, _WHITE)
        _disc(pen, side, 0.02, _RED)
        pen.rectangle((0.16 * side, 0.41 * side, 0.84 * side, 0.59 * side), _WHITE)
    return large.resize((_SIGN, _SIGN), Image.Resampling.BOX)


def _disc(pen: ImageDraw.ImageDraw, side: int, inset: float, colour: tuple[int, int, int]) -> None:
    pen.ellipse((inset * side, inset * side, side * (1 - inset), side * (1 - inset)), colour)


def _text(
    large: Picture, text: str, colour: tuple[int, int, int], height: float, style: int
) -> None:
    """Letters narrower than the font has them, as on signs, and bolder if it is not bold."""
    file = next(f for f in fonts() if f.stem == ("DejaVuSans-Bold" if style == 2 else "DejaVuSans"))
    side = large.width
    layer = Image.new("L", (2 * side, side))
    face, extra = font(file, round(height * side)), (0.011, 0.018, 0)[style]
    ImageDraw.Draw(layer).text(
        (side, side / 2), text, 255, face, anchor="mm", stroke_width=round(extra * side)
    )
    box = layer.getbbox()
    assert box is not None
    layer = layer.crop(box)
    most = 0.78 if text == "STOP" else 0.6 if len(text) == 2 else 0.66
    narrow = (0.72, 0.8, 0.88)[style]
    width = min(round(layer.width * narrow), round(most * side))
    layer = layer.resize((width, layer.height), Image.Resampling.BILINEAR)
    place = ((side - layer.width) // 2, (side - layer.height) // 2)
    large.paste((*colour, 255), place, layer)


write_signs = partial(write_drawn, _draw_sign, CLASSES, _SIGNS_STREAM)
