"""The images of a tensor file: any rows, read chunk by chunk; pictures are a byte a pixel."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import SchemaError
from .hdf5.chunks import OpenFile
from .hits import EventTable, Hits, view_figures
from .layout import CHUNK_ROWS, Transform, View
from .objects import Objects, object_figures

_FULL = np.float32(255.0)  # the byte of a pixel at full brightness, which is read as 1
_AT_ONCE = 4096  # pictures whose figures are computed at a time
Rows = slice | NDArray[np.integer[Any]]


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


class ViewReader:
    """The images of one domain, in a file that stays open; a context manager.

    Raises:
        SchemaError: the file holds no views.
    """

    def __init__(self, file: OpenFile, domain: str, views: tuple[View, ...]) -> None:
        self._file, self.path, self.domain, self.views = file, file.path, domain, views
        if not views:
            raise SchemaError("holds no images", where=self.path, mend="convert files that do")
        self._images = {view.name: file.h5[f"{domain}/views/{view.name}"] for view in views}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called again."""
        self._file.close()

    def __len__(self) -> int:
        return len(next(iter(self._images.values())))

    def read(self, rows: Rows) -> dict[str, NDArray[np.float32]]:
        """Images at some rows.

        Args:
            rows: a slice without step, or (n,) increasing row numbers of the domain.

        Returns:
            By name of the view, in order, each (n, C, H, W) float32; of pictures in [0, 1].

        Raises:
            SchemaError: the images are damaged, or were cut off meanwhile.
            IndexError: rows that do not exist, or are not in order.
        """
        stored = self.stored(rows)
        return {n: v if v.dtype == np.float32 else fractions(v) for n, v in stored.items()}

    def stored(self, rows: Rows) -> dict[str, NDArray[Any]]:
        """As :meth:`read`, of the type that the file has them in: float32 or uint8."""
        numbers = _numbers(rows, len(self))
        with self._file.reading():
            return {
                name: np.concatenate(list(self._chunks(name, numbers))) for name in self._images
            }

    def events(self, rows: Rows) -> EventImages:
        """Some rows as they are held in memory: hits, without a whole image of all, or pictures.

        Returns:
            The hits of each event, or its pixels as bytes, over all views in order.

        Raises:
            SchemaError: the images are damaged, or were cut off meanwhile.
            IndexError: rows that do not exist, or are not in order.
        """
        if self.views[0].pictures:
            return Pixels.of(self.stored(rows).values())
        numbers = _numbers(rows, len(self))
        with self._file.reading():
            views = [
                Hits.join([Hits.of([images]) for images in self._chunks(name, numbers)])
                for name in self._images
            ]
        return Hits.beside(views)

    def _chunks(self, name: str, rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        """The images of a view at increasing rows, chunk by chunk; at least one, maybe empty."""
        images = self._images[name]
        kind = np.uint8 if images.dtype == np.uint8 else np.float32
        each = images.chunks[0] if images.chunks else CHUNK_ROWS
        yield np.empty((0, *images.shape[1:]), kind)
        for start in each * np.unique(rows // each):
            inside = rows[slice(*np.searchsorted(rows, [start, start + each]))] - start
            try:
                yield np.asarray(images[start : start + each], kind)[inside]
            except (OSError, RuntimeError) as error:
                raise SchemaError(
                    f"images {start}-{min(start + each, len(images)) - 1} are damaged ({error})",
                    where=f"{self.path}:{images.name.lstrip('/')}",
                    mend="copy the file again from a good disk, or convert again",
                ) from error


def _numbers(rows: Rows, count: int) -> NDArray[np.int64]:
    if isinstance(rows, slice):
        start, stop, step = rows.indices(count)
        if step != 1:
            raise IndexError("a slice of rows has no step")
        return np.arange(start, stop, dtype=np.int64)
    numbers = np.asarray(rows, np.int64)
    if numbers.ndim != 1 or (np.diff(numbers) < 0).any():
        raise IndexError("rows are increasing numbers")
    if len(numbers) and (numbers[0] < 0 or numbers[-1] >= count):
        raise IndexError(f"rows reach from {numbers[0]} to {numbers[-1]}, there are {count}")
    return numbers


def views_of(file: Any, domain: str) -> tuple[View, ...]:
    """What an open HDF5 file holds of images in one domain.

    Raises:
        ValueError: a view is no (N, C, H, W).
    """
    group = file[domain].get("views")
    if group is None:
        return ()
    names = [str(name) for name in group.attrs.get("names", ())]
    if not names:  # written by another program: HDF5 gives names in the order of the alphabet
        names = sorted(group, key=lambda name: (("x", "u", "v", name).index(name), name))
    views = []
    for name in names:
        shape = group[name].shape
        if len(shape) != 4:
            raise ValueError(f"view {name} has {len(shape)} axes, expected (N, C, H, W)")
        channels = tuple(str(channel) for channel in group[name].attrs.get("channels", ()))
        depth, height, width = (int(size) for size in shape[1:])
        stored = json.loads(group[name].attrs.get("transforms", "[]"))
        transforms = tuple(
            Transform(one["clip"] and tuple(map(float, one["clip"])), one["log"], one["scale"])
            for one in stored
        )
        kind: Literal["<f4", "|u1"] = "|u1" if group[name].dtype == np.uint8 else "<f4"
        views.append(View(name, depth, height, width, channels, transforms, kind))
    return tuple(views)
