"""Pictures as the tensor file has them: a byte a pixel, and a fraction of 1 where one is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .hits import EventTable, Hits, view_figures
from .layout import View
from .objects import Objects, object_figures

_FULL = np.float32(255.0)  # the byte of a pixel at full brightness, which is read as 1
_AT_ONCE = 4096  # pictures whose figures are computed at a time


def fractions(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bytes as float32 in [0, 1]."""
    return np.multiply(values, 1 / _FULL, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Pixels(EventTable):
    """(N, F) pixels of pictures, held as bytes; indexing gives them as float32 in [0, 1].

    It takes the place of :class:`.Hits` where most pixels are not zero.

    Attributes:
        values: (N, F) uint8, view after view, of each channel after channel.
    """

    values: NDArray[np.uint8]

    @classmethod
    def of(cls, views: Iterable[NDArray[Any]]) -> Self:
        """The pixels of some events.

        Args:
            views: (N, …) each; uint8, or fractions of 1, which are rounded to bytes and cut at the
                ends of their range.
        """
        flat = [view.reshape(len(view), int(np.prod(view.shape[1:]))) for view in views]
        return cls(np.concatenate([_as_bytes(view) for view in flat], axis=1))

    @classmethod
    def join(cls, parts: Sequence[Pixels]) -> Self:
        """The rows of several tables, at least one, one after the other."""
        return cls(np.concatenate([part.values for part in parts]))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def width(self) -> int:
        """F."""
        return int(self.values.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.values.nbytes

    def take(self, rows: slice | NDArray[Any]) -> Self:
        """Some rows: a slice, a mask or indices."""
        return type(self)(self.values[rows])

    def __getitem__(self, rows: slice | NDArray[Any]) -> NDArray[np.float32]:
        """Some rows (n, F) as float32 in [0, 1]."""
        return fractions(self.values[rows])


EventImages = Hits | Pixels | Objects


def _as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    whole: NDArray[np.uint8] = np.rint(np.clip(values, 0, 1) * _FULL).astype(np.uint8)
    return whole


def image_figures(
    images: EventImages, views: Sequence[View]
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """A few numbers that sum the images, or the objects, of an event up.

    Of objects they are those of :func:`.object_figures`; of hits :data:`.VIEW_FIGURES`, see
    :func:`.view_figures`; of pictures the mean (brightness) and the standard deviation (contrast)
    of the pixels of each channel.

    Args:
        images: of N events, the views one after the other.
        views: their shapes.

    Returns:
        Names such as ``energy_x`` or ``brightness_red``, and (N, F) values.
    """
    if isinstance(images, Objects):
        return object_figures(images)
    if isinstance(images, Hits):
        return view_figures(images, views)
    names = [
        f"{figure}_{channel}"
        for view in views
        for channel in view.channel_names or map(str, range(view.channels))
        for figure in ("brightness", "contrast")
    ]
    sizes = [view.height * view.width for view in views for _ in range(view.channels)]
    edges = np.cumsum([0, *sizes])
    table = np.empty((len(images), len(names)), np.float32)
    for start in range(0, len(images), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        values = images[rows]
        for number, (first, last) in enumerate(pairwise(edges)):
            table[rows, 2 * number] = values[:, first:last].mean(axis=1)
            table[rows, 2 * number + 1] = values[:, first:last].std(axis=1)
    return tuple(names), table
