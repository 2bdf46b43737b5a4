"""What drawn pictures have in common: fonts, backgrounds, light and blur."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageFont

Picture = Image.Image


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


def photographed(
    picture: Picture,
    side: int,
    generator: np.random.Generator,
    *,
    blur: float,
    noise: float,
    light: tuple[float, float],
) -> NDArray[np.uint8]:
    """A drawing as a camera would see it.

    Args:
        picture: the drawing, square, larger than the result.
        side: pixels of the result.
        generator: of what is drawn at random.
        blur: of pixels of the result, at most.
        noise: standard deviation of the pixels' noise, at most.
        light: factor on the brightness, from and to; drawn evenly in its logarithm.

    Returns:
        (side, side, 3).
    """
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
    seen: NDArray[np.uint8] = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return seen
