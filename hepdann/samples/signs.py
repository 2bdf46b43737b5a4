"""Road signs drawn with shapes and a font: those of GTSRB's classes that need no pictogram."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .pictures import write_drawn

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

    from .drawn import Picture

CLASSES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 17)  # by their numbers in GTSRB
_LIMITS = {0: "20", 1: "30", 2: "50", 3: "60", 4: "70", 5: "80", 7: "100", 8: "120"}
_SIDE, _LARGE, _SIGN = 40, 120, 240
_STREAM = 0x5160
_RED, _WHITE, _BLACK, _GREY = (190, 20, 30), (245, 245, 245), (25, 25, 28), (125, 125, 128)
_YELLOW = (250, 190, 20)


def draw_sign(sign: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """A picture (40, 40, 3) of a sign of this number in GTSRB, in some pose and light."""
    from PIL import Image

    from .drawn import photographed

    picture = _street(generator)
    face = _face(sign, int(generator.integers(3)))
    size = _LARGE * generator.uniform(0.62, 0.9)
    turn, lean = np.radians(generator.normal(0, 4)), generator.normal(0, 0.06)
    wide, high = generator.uniform(0.82, 1.05), generator.uniform(0.92, 1.05)
    scale = _SIGN / size
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    matrix = scale * matrix @ np.array([[1 / wide, lean], [0, 1 / high]])
    middle = _LARGE / 2 + generator.normal(0, 0.035 * _LARGE, 2)
    offset = _SIGN / 2 - matrix @ middle
    bend = generator.normal(0, 0.0006, 2)  # perspective
    moved = face.transform(
        picture.size, Image.Transform.PERSPECTIVE,
        (*matrix[0], offset[0], *matrix[1], offset[1], *bend), Image.Resampling.BILINEAR,
    )  # fmt: skip
    shade = np.exp(-abs(generator.normal(0, 0.5)))  # against the light it is darker
    picture.paste(moved.convert("RGB").point(lambda value: value * shade), (0, 0), moved)
    return photographed(picture, _SIDE, generator, blur=1.8, noise=4, light=(0.15, 2.2))


def _street(generator: np.random.Generator) -> Picture:
    """What stands behind a sign: leaves, walls or sky, of little colour, bright or in the shade."""
    from PIL import Image

    grey = 255 * generator.beta(0.8, 1.1)
    rough = generator.uniform(0, 0.45) * min(grey, 160) + 4
    light = np.full((_LARGE, _LARGE, 1), grey)
    for cells in (2, 4, 8, 16):  # edges of all sizes
        grid = generator.normal(0, rough, (cells, cells)).astype(np.float32)
        kind = Image.Resampling.NEAREST if generator.random() < 0.3 else Image.Resampling.BICUBIC
        patches = Image.fromarray(grid).rotate(float(generator.uniform(0, 360)), expand=False)
        light = light + np.asarray(patches.resize((_LARGE, _LARGE), kind))[..., None] / 2
    warm = generator.normal(0, 0.08)
    tint = np.array([1 + warm, 1 + generator.normal(0, 0.03), 1 - warm])
    return Image.fromarray(np.clip(light * tint, 0, 255).astype(np.uint8))


@cache
def _face(sign: int, style: int) -> Picture:
    """A sign from the front, transparent around it; styles differ in the weight of its letters."""
    from PIL import Image, ImageDraw

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


def _disc(pen: ImageDraw, side: int, inset: float, colour: tuple[int, int, int]) -> None:
    pen.ellipse((inset * side, inset * side, side * (1 - inset), side * (1 - inset)), colour)


def _text(
    large: Picture, text: str, colour: tuple[int, int, int], height: float, style: int
) -> None:
    """Letters narrower than the font has them, as on signs, and bolder if it is not bold."""
    from PIL import Image, ImageDraw

    from .drawn import font, fonts

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


write_signs = partial(write_drawn, draw_sign, CLASSES, _STREAM)
