"""Circles, squares and triangles: a first exercise in telling pictures apart."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from .pictures import write_drawn

SHAPES = ("circle", "square", "triangle")
_CORNERS = {"square": 4, "triangle": 3}
_SIDE, _FINER = 32, 8
_RADII = (5.0, 13.0)  # pixels, of the circle around it
_CONTRAST = 64  # least difference of the two greys
_NOISE = 8.0  # largest standard deviation of a pixel
_STREAM = 0x5A9E


def draw_shape(shape: str, generator: np.random.Generator) -> NDArray[np.uint8]:
    """A grey picture (32, 32, 1) of one shape, whole, of any size, place, angle and two greys."""
    from PIL import Image, ImageDraw

    radius = generator.uniform(*_RADII)
    middle = generator.uniform(radius, _SIDE - radius, 2)
    ground, grey = generator.integers(0, 256, 2)
    while abs(int(ground) - int(grey)) < _CONTRAST:
        ground, grey = generator.integers(0, 256, 2)
    start = generator.uniform(0, 2 * np.pi)
    picture = Image.new("L", (_SIDE * _FINER, _SIDE * _FINER), int(ground))
    pen = ImageDraw.Draw(picture)
    if shape == "circle":
        low, high = (_FINER * (middle - radius)).tolist(), (_FINER * (middle + radius)).tolist()
        pen.ellipse((*low, *high), int(grey))
    else:
        corners = _CORNERS[shape]
        angles = start + 2 * np.pi * np.arange(corners) / corners
        rim = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        pen.polygon([tuple(p) for p in (_FINER * (middle + radius * rim)).tolist()], int(grey))
    pixels = np.asarray(picture.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
    noise = generator.normal(0, generator.uniform(0, _NOISE), pixels.shape)
    drawn: NDArray[np.uint8] = np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    return drawn[..., None]


def _of_label(label: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    return draw_shape(SHAPES[label], generator)


write_shapes = partial(write_drawn, _of_label, range(len(SHAPES)), _STREAM, data=True)
