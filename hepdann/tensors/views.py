"""The images of a tensor file: any rows, read chunk by chunk; pictures are a byte a pixel.

HDF5 hands over the chunks as they are stored, and libdeflate unpacks them, in several threads if
wanted, at 4.5 GB/s of images that are mostly zeros; HDF5's own filter makes 1.2. Chunks that
another program wrote with other filters are read by HDF5.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

import deflate
import numpy as np
from numpy.typing import NDArray

from ..errors import SchemaError
from .hdf5.chunks import OpenFile
from .hits import EventTable, Hits, view_figures
from .layout import Transform, View
from .objects import Objects, object_figures

_FULL = np.float32(255.0)  # the byte of a pixel at full brightness, which is read as 1
_AT_ONCE = 4096  # pictures whose figures are computed at a time
Rows = slice | NDArray[np.integer[Any]]
_GZIP = 1  # HDF5's number of the filter


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

    ``threads`` unpack, beside the caller.

    Raises:
        SchemaError: the file holds no views.
    """

    def __init__(
        self, file: OpenFile, domain: str, views: tuple[View, ...], threads: int = 1
    ) -> None:
        self._file, self.path, self.domain, self.views = file, file.path, domain, views
        if not views:
            raise SchemaError("holds no images", where=self.path, mend="convert files that do")
        group = file.h5[f"{domain}/views"]
        self._images = {view.name: _Images(group[view.name], self.path) for view in self.views}
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called again."""
        if self._pool is not None:
            self._pool.shutdown()
        self._file.close()

    def __len__(self) -> int:
        return next(iter(self._images.values())).rows

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
        result, work = {}, []
        for name, images in self._images.items():
            values = np.empty((len(numbers), *images.shape), images.dtype)
            work += [(images, values, *part) for part in images.parts(numbers)]
            result[name] = values
        with self._file.reading():
            if self._pool is None:
                for piece in work:
                    _fill(piece)
            else:
                list(self._pool.map(_fill, work))
        return result

    def events(self, rows: Rows) -> EventImages:
        """Some rows as they are held in memory: hits without ever filling an image, or pictures.

        Returns:
            The hits of each event, or its pixels as bytes, over all views in order.

        Raises:
            SchemaError: the images are damaged, or were cut off meanwhile.
            IndexError: rows that do not exist, or are not in order.
        """
        if self.views[0].pictures:
            return Pixels.of(self.stored(rows).values())
        numbers = _numbers(rows, len(self))
        work = [
            (images, *part) for images in self._images.values() for part in images.parts(numbers)
        ]
        made = map(_hits, work) if self._pool is None else self._pool.map(_hits, work)
        views: list[Hits] = []
        with self._file.reading():
            for images in self._images.values():
                parts = [next(made) for _ in images.parts(numbers)]
                none = Hits.of([np.empty((0, int(np.prod(images.shape))), np.float32)])
                views.append(Hits.join(parts or [none]))
        return Hits.beside(views)


class _Images:
    """One dataset of images."""

    def __init__(self, dataset: Any, path: Path) -> None:
        self.rows, self.shape = len(dataset), tuple(dataset.shape[1:])
        self._dataset, self._path = dataset, path
        self.each = dataset.chunks[0] if dataset.chunks else max(1, min(64, self.rows))
        plist = dataset.id.get_create_plist()
        filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
        whole = dataset.chunks is not None and tuple(dataset.chunks[1:]) == self.shape
        self.dtype = np.dtype(np.uint8 if dataset.dtype == np.uint8 else np.float32)
        self._direct = whole and filters == [_GZIP] and dataset.dtype.str in ("<f4", "|u1")

    def parts(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, slice, NDArray[np.int64]]]:
        """The chunks that hold ``rows``: their number, where the rows go, which rows of theirs."""
        chunks = rows // self.each
        edges = np.flatnonzero(np.diff(chunks, prepend=-1, append=-1))
        for begin, end in pairwise(edges):
            number = int(chunks[begin])
            yield number, slice(int(begin), int(end)), rows[begin:end] - number * self.each

    def chunk(self, number: int) -> NDArray[Any]:
        """The images of one chunk; behind the last row, if it goes on there, they mean nothing."""
        first = number * self.each
        where = f"{self._path}:{self._dataset.name.lstrip('/')}"
        try:
            packed, skipped = None, 1
            if self._direct:
                skipped, packed = self._dataset.id.read_direct_chunk((first, 0, 0, 0))
            if packed is None or skipped:  # by filters that only HDF5 knows, or by none
                return np.asarray(self._dataset[first : first + self.each], self.dtype)
            size = self.each * int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
            unpacked = deflate.zlib_decompress(packed, size)
            return np.frombuffer(unpacked, self.dtype).reshape(self.each, *self.shape)
        except (OSError, RuntimeError, ValueError, deflate.DeflateError) as error:
            raise SchemaError(
                f"images {first}-{min(first + self.each, self.rows) - 1} are damaged ({error})",
                where=where,
                mend="copy the file again from a good disk, or convert again",
            ) from error


def _fill(piece: tuple[_Images, NDArray[Any], int, slice, NDArray[np.int64]]) -> None:
    images, values, number, to, rows = piece
    np.take(images.chunk(number), rows, axis=0, out=values[to])


def _hits(piece: tuple[_Images, int, slice, NDArray[np.int64]]) -> Hits:
    images, number, _, rows = piece
    chunk = images.chunk(number)
    return Hits.of([chunk if len(rows) == len(chunk) else chunk[rows]])


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
        transforms = tuple(_transform(entry) for entry in stored)
        kind: Literal["<f4", "|u1"] = "|u1" if group[name].dtype == np.uint8 else "<f4"
        views.append(View(name, depth, height, width, channels, transforms, kind))
    return tuple(views)


def _transform(stored: dict[str, Any]) -> Transform:
    clip = stored["clip"]
    return Transform(clip and (float(clip[0]), float(clip[1])), stored["log"], stored["scale"])
