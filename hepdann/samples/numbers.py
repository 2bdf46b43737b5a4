"""Numbers drawn with fonts, as the DANN paper's SynNumbers: one digit, and parts of others."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from .pictures import write_drawn

_SIDE, _LARGE = 32, 96
_STREAM = 0x5EED


def draw_number(digit: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """A picture (32, 32, 3) with a digit in its middle, and mostly others beside it."""
    from PIL import Image, ImageDraw

    from .drawn import background, font, fonts, photographed

    file = fonts()[generator.integers(len(fonts()))]
    face = font(file, int(generator.integers(60, 92)))
    colour = generator.integers(0, 256, 3)
    if generator.random() < 0.5:
        picture = background(_LARGE, generator)
    else:
        picture = Image.new("RGB", (_LARGE, _LARGE), tuple(map(int, generator.integers(0, 256, 3))))
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
        pen.text((_LARGE / 2 + place * width, _LARGE / 2), text, 255, face, anchor="mm")
    turn, shear = generator.normal(0, 7), generator.normal(0, 0.12)
    stretch = generator.uniform(0.9, 1.35)
    moved = generator.normal(0, 4, 2)
    layer = layer.rotate(float(turn), Image.Resampling.BILINEAR)
    centre = _LARGE / 2
    layer = layer.transform(
        layer.size, Image.Transform.AFFINE,
        (stretch, shear, centre * (1 - stretch - shear) + moved[0], 0, 1, moved[1]),
        Image.Resampling.BILINEAR,
    )  # fmt: skip
    picture.paste(tuple(map(int, colour)), (0, 0), layer)
    return photographed(picture, _SIDE, generator, blur=1.4, noise=14, light=(0.5, 1.3))


write_numbers = partial(write_drawn, draw_number, range(10), _STREAM)
