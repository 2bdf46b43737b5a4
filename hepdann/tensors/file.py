"""The rows of a tensor file: whole columns, tiles, images and checks of what is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SchemaError
from ..inputs import Stamp
from .hdf5.checksums import TILE_ROWS, content_id, damaged_tiles
from .hdf5.chunks import OpenFile, check_stamp, h5_open
from .layout import DOMAINS, Layout
from .objects import ObjectReader
from .source_and_target import is_pseudo
from .views import Rows, ViewReader

if TYPE_CHECKING:
    from ..config.samples import SplitConfig

_SCALARS = ("weight", "sample", "event_id", "split")


@dataclass(frozen=True, eq=False)
class TensorFile(Layout):
    """A tensor file as datasets. It holds its description; every read opens the file anew.

    Attributes:
        path: the file.
        split_config: shares and salt of the splits.
    """

    path: Path
    split_config: SplitConfig
    _rows: dict[str, int]
    _stamp: Stamp | None

    def rows(self, domain: str) -> int:
        """Number of events of a domain; 0 if the file does not hold it."""
        return self._rows.get(domain, 0)

    def column(self, domain: str, name: str) -> NDArray[Any]:
        """One column of all events of a domain.

        ``name`` is "weight", "sample", "event_id", "split", "weights/<name>", a spectator or a
        feature.

        Returns:
            (N,) array in file order.

        Raises:
            SchemaError: no such domain or column.
        """
        self._need(domain)
        scalars = self._scalars(domain)
        if name in scalars:
            return np.concatenate(list(self.tiles(domain, name)))
        for table, names in (("spectators", self.spectators), ("features", self.features)):
            if name in names:
                index = names.index(name)
                return np.concatenate([tile[:, index] for tile in self.tiles(domain, table)])
        known = [*scalars, *self.spectators, *self.features]
        where = f"{self.path}:{domain}"
        raise SchemaError(f"no column {name!r}", where=where, mend=f"there are {known}")

    def tiles(self, domain: str, name: str) -> Iterator[NDArray[Any]]:
        """Read a dataset in pieces of 65,536 events.

        ``name`` is "features", "spectators", or as in :meth:`column`; or "variations/<name>".

        Yields:
            At least one array, empty if there are no events.

        Raises:
            SchemaError: no such domain or dataset.
        """
        self._need(domain)
        shifted = [f"variations/{name}" for name in self.variations if domain == "mc"]
        if name not in (known := ("features", "spectators", *self._scalars(domain), *shifted)):
            raise SchemaError(f"no dataset {name!r}", where=self.path, mend=f"there are {known}")
        yield from self._tiles(domain, name)

    def _tiles(self, domain: str, name: str) -> Iterator[NDArray[Any]]:
        with self.read() as file:
            dataset, path = file[domain][name], f"{domain}/{name}"
            for start in range(0, max(len(dataset), 1), TILE_ROWS):
                tile = dataset[start : start + TILE_ROWS]
                self.check_indices(path, tile, where=f"{self.path}:{path}")
                yield tile

    def read_columns(
        self, domain: str, names: tuple[str, ...], pseudo: bool | None = None
    ) -> dict[str, NDArray[Any]]:
        """Whole datasets of a domain, checked.

        Of MC, ``pseudo`` takes only the events that stand in for data (true) or the others (false).

        Raises:
            SchemaError: no such domain, or rows that no training can use.
        """
        self._need(domain)
        keep = None
        if pseudo is not None:
            keep = is_pseudo(self.column(domain, "event_id"), self.split_config.seed) == pseudo
        with self.read() as file:
            arrays = {name: _selected(file[domain][name], keep) for name in names}
        return {name: self.check_rows(f"{domain}/{name}", rows) for name, rows in arrays.items()}

    def read_views(self, domain: str, rows: Rows) -> dict[str, NDArray[np.float32]]:
        """The images of some events.

        ``rows`` are a slice without step, or (n,) increasing row numbers in the domain.

        Returns:
            By name of the view, in order, each (n, C, H, W) float32.

        Raises:
            SchemaError: no such domain, no images, or damaged ones.
            IndexError: rows that do not exist, or are not in order.
        """
        with self.view_reader(domain) as reader:
            return reader.read(rows)

    def view_reader(self, domain: str) -> ViewReader:
        """What reads images many times: the file stays open until the reader is closed.

        Raises:
            SchemaError: no such domain, or no images.
        """
        self._need(domain)
        return ViewReader(self.open(), domain, self.views)

    def object_reader(self, domain: str) -> ObjectReader:
        """What reads objects, and the features beside them; SchemaError: no such domain."""
        self._need(domain)
        return ObjectReader(self.open(), domain, self.objects)

    def verify(self) -> list[str]:
        """Compare every tile with its checksum.

        Returns:
            The damaged ones, such as ``mc/features rows 65536-131071``; empty if all is whole.
        """
        paths = [dataset.path for domain in self.domains for dataset in self.all_datasets(domain)]
        with h5_open(self.path) as file:
            return list(damaged_tiles(file, paths))

    def open(self) -> OpenFile:
        """The file, to be read more than once.

        Raises:
            SchemaError: it cannot be opened, or is not the one that was described any more.
        """
        return OpenFile(self.path, self._stamp)

    @contextmanager
    def read(self) -> Iterator[Any]:
        """The file of h5py, to be read once.

        Raises:
            SchemaError: as :meth:`open` and :meth:`OpenFile.reading`.
        """
        file = self.open()
        try:
            with file.reading() as h5:
                yield h5
        finally:
            file.close()

    def check_rows(self, path: str, values: NDArray[Any]) -> NDArray[Any]:
        """Rows of a dataset as they are, if a training can use them.

        Raises:
            SchemaError: they number a class, sample or split that is not there; a weight is not
                finite, or a feature infinite.
        """
        where = f"{self.path}:{path}"
        self.check_indices(path, values, where=where)
        kind = path.rpartition("/")[2]
        if kind == "weight" and not np.isfinite(values).all():
            raise SchemaError("a weight is not finite", where=where, mend="convert again")
        if kind == "features" and np.isinf(values).any():
            mend = "convert again, which makes it a missing value (NaN)"
            raise SchemaError("a feature is infinite", where=where, mend=mend)
        return values

    def content_id(self) -> str:
        """A hash that two files share if they hold the same, whatever they are called.

        Raises:
            SchemaError: the file has changed since it was described.
        """
        try:
            with self.path.open("rb") as stream:
                check_stamp(stream.fileno(), self.path, self._stamp)
                return content_id(stream)
        except OSError as error:
            raise SchemaError(f"cannot be read ({error})", where=self.path) from error

    def _scalars(self, domain: str) -> tuple[str, ...]:
        further = self.weights if domain == "mc" else ()
        return (*_SCALARS, *(f"weights/{weight}" for weight in further))

    def _need(self, domain: str) -> None:
        if domain not in self.samples:
            kind = {"mc": "MC", "data": "detector"}.get(domain, domain)
            mend = "convert again with them" if domain in DOMAINS else "domains are mc and data"
            raise SchemaError(f"holds no {kind} events", where=self.path, mend=mend)


def _selected(dataset: Any, keep: NDArray[np.bool_] | None) -> NDArray[Any]:
    """All rows, or those to keep, gathered tile by tile so that the others are never held."""
    if keep is None:
        return np.asarray(dataset[...])
    rows = np.empty((int(keep.sum()), *dataset.shape[1:]), dataset.dtype)
    filled = 0
    for start in range(0, len(dataset), TILE_ROWS):
        part = dataset[start : start + TILE_ROWS][keep[start : start + TILE_ROWS]]
        rows[filled : filled + len(part)] = part
        filled += len(part)
    return rows
