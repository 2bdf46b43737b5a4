"""A tensor file: what it holds, and its events as source, target or pseudo-target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..display import html_table, listed
from ..errors import SchemaError
from ..inputs import Stamp
from .checks import differing
from .checksums import TILE_ROWS, damaged_tiles
from .domains import Source, Target
from .hashing import is_pseudo
from .layout import DOMAINS, Layout, View
from .opening import OpenFile, check_stamp, h5_open, rows_of
from .sealing import content_id
from .views import Rows, ViewReader

if TYPE_CHECKING:
    from ..config.models import SplitConfig

__all__ = ["Tensors"]

_TARGET_FIELDS = ("features", "weight", "event_id", "split")
_SCALARS = ("weight", "sample", "event_id", "split")
_CALLED = {"mc": "MC", "data": "data"}


@dataclass(frozen=True, eq=False)
class Tensors:
    """A tensor file. Holds its description; every method that gives events opens the file anew.

    No method gives the label of a target: true labels are opened by ``evaluation`` alone.

    Attributes:
        path: the file.
        classes: class names by label, empty without MC.
        features: names of the network inputs; ``units``, ``feature_info`` and ``impute`` run along.
        impute: (F,) float64, what a network sees in place of a missing value (NaN).
        spectators: names of the columns kept for plots and cuts.
        samples: domain to the names that the ``sample`` column indexes.
        weights: names of further MC weights.
        views: the images of an event, in order; empty if it has none.
        provenance: which version made the file, from what, with which settings.
        split_config: shares and salt of the splits.
        has_truth: whether the data's true labels are known to ``evaluation``.
    """

    path: Path
    classes: tuple[str, ...]
    features: tuple[str, ...]
    units: tuple[str, ...]
    feature_info: tuple[dict[str, Any], ...]
    impute: NDArray[np.float64]
    spectators: tuple[str, ...]
    samples: dict[str, tuple[str, ...]]
    weights: tuple[str, ...]
    views: tuple[View, ...]
    provenance: dict[str, Any]
    split_config: SplitConfig
    has_truth: bool
    _rows: dict[str, int]
    _stamp: Stamp | None
    _kept: object = None  # a temporary file lives as long as this

    @staticmethod
    def from_arrays(
        features: Any,
        label: Any,
        weight: Any = None,
        data: Any = None,
        data_weight: Any = None,
        *,
        names: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        truth: Any = None,
        event_id: Any = None,
        data_event_id: Any = None,
        output: str | Path | None = None,
    ) -> Tensors:
        """Write events that are in memory to a tensor file.

        A table is a DataFrame, a mapping or structured array of columns, an awkward record array,
        or an array (N, F). What is given for each event (labels, weights, ids) is an array (N,),
        or the name of a column of the table.

        Args:
            features: table of the MC; NaN, infinite and masked values are missing.
            label: class of each MC event: 0, 1, …
            weight: of each MC event; default 1.
            data: table of the data, with the same features.
            data_weight: of each data event; default 1.
            names: the features in order; default the columns that are nothing else, of an array
                ``x0``, ``x1``, …
            classes: names of the classes; default background and signal, of more ``class-0``, …
            truth: true class of each data event, for simulated studies; the evaluation alone
                reads it.
            event_id: (N,) or (N, K) numbers that identify an MC event, and so decide its split;
                default its features and weight.
            data_event_id: likewise of the data.
            output: the tensor file; default a temporary one that is removed with the last object
                that refers to it.

        Raises:
            SchemaError: these are not numbers, do not fit together, or cannot be written.
        """
        from .arrays import TemporaryFile, write_arrays
        from .description import open_tensors

        kept = None
        if output is None:
            output = (kept := TemporaryFile()).path
        path = Path(output)
        write_arrays(
            path,
            features,
            data,
            label=label,
            truth=truth,
            weights=(weight, data_weight),
            ids=(event_id, data_event_id),
            names=names,
            classes=classes,
        )
        return replace(open_tensors(path), _kept=kept)

    def __repr__(self) -> str:
        what = [f"{self.rows(domain):,} {_CALLED[domain]} events" for domain in self.domains]
        what += [f"{name} ({listed(names)})" for name, names in self._contents() if names]
        return f"<{type(self).__name__} {self.path}: {', '.join(what)}>"

    def _repr_html_(self) -> str:
        rows = [(f"{_CALLED[name]} events", f"{self.rows(name):,}") for name in self.domains]
        rows += [(name, listed(names)) for name, names in self._contents() if names]
        return html_table(str(self.path), (), rows)

    def _contents(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        views = tuple(f"{view.name} {'×'.join(map(str, view.shape))}" for view in self.views)
        counted = f"{len(self.features)} features"
        return ("classes", self.classes), (counted, self.features), ("images", views)

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains in the file: "mc", "data" or both."""
        return tuple(self.samples)

    @property
    def has_data(self) -> bool:
        """Whether there are detector events."""
        return "data" in self.samples

    def class_looks(self, key: Literal["title", "color"]) -> list[str]:
        """What the configuration of the conversion says of each class; empty where it does not."""
        given = (self.provenance.get("settings", {}).get("convert") or {}).get("classes") or []
        looks = {entry["name"]: entry for entry in given if isinstance(entry, dict)}
        return [looks.get(name, {}).get(key) or "" for name in self.classes]

    def rows(self, domain: str) -> int:
        """Number of events of a domain; 0 if the file does not hold it."""
        return self._rows.get(domain, 0)

    def source(self, *, half: bool = False) -> Source:
        """The labelled MC.

        Args:
            half: only the events that do not stand in for data in :meth:`pseudo_target`.

        Raises:
            SchemaError: the file holds no MC.
        """
        fields = self._read("mc", (*_TARGET_FIELDS, "label"), pseudo=False if half else None)
        return Source(**fields, classes=self.classes)

    def target(self) -> Target:
        """The detector events.

        Raises:
            SchemaError: the file holds no data.
        """
        return Target(**self._read("data", _TARGET_FIELDS))

    def pseudo_target(self) -> Target:
        """The MC events that stand in for data, not shifted yet; shares none with the half source.

        Raises:
            SchemaError: the file holds no MC.
        """
        return Target(**self._read("mc", _TARGET_FIELDS, pseudo=True))

    def column(self, domain: str, name: str) -> NDArray[Any]:
        """One column of all events of a domain.

        Args:
            domain: "mc" or "data".
            name: "weight", "sample", "event_id", "split", "weights/<name>", a spectator or a
                feature.

        Returns:
            (N,) array in file order.

        Raises:
            SchemaError: no such domain or column.
        """
        group, index = self._place(domain, name)
        pieces = [tile if index is None else tile[:, index] for tile in self.tiles(domain, group)]
        return np.concatenate(pieces)

    def tiles(self, domain: str, name: str) -> Iterator[NDArray[Any]]:
        """Read a dataset in pieces of 65,536 events.

        Args:
            domain: "mc" or "data".
            name: "features", "spectators", "weight", "sample", "event_id", "split" or
                "weights/<name>".

        Yields:
            At least one array, empty if there are no events.

        Raises:
            SchemaError: no such domain or dataset.
        """
        self._need(domain)
        if name not in (known := ("features", "spectators", *self._scalars(domain))):
            raise SchemaError(f"no dataset {name!r}", where=self.path, mend=f"there are {known}")
        yield from self._tiles(domain, name)

    def read_views(self, domain: str, rows: Rows) -> dict[str, NDArray[np.float32]]:
        """The images of some events.

        Args:
            domain: "mc" or "data".
            rows: a slice without step, or (n,) increasing row numbers in the domain.

        Returns:
            By name of the view, in order, each (n, C, H, W) float32.

        Raises:
            SchemaError: no such domain, no images, or damaged ones.
            IndexError: rows that do not exist, or are not in order.
        """
        with self.view_reader(domain) as reader:
            return reader.read(rows)

    def view_reader(self, domain: str, threads: int = 1) -> ViewReader:
        """The same for many reads: the file stays open until the reader is closed.

        Raises:
            SchemaError: no such domain, or no images.
        """
        self._need(domain)
        return ViewReader(self.open(), domain, self.views, threads)

    def check_features(self, other: Tensors) -> None:
        """Whether another file has the same features in the same order, and the same images.

        Raises:
            SchemaError: it has not; names the features that differ.
        """
        if other.features != self.features:
            differ = differing(self.features, other.features)
            raise SchemaError(
                f"features differ from those of {self.path}: {differ}",
                where=other.path,
                mend=f"make it with hepdann convert --like {self.path}",
            )
        if [(v.name, v.shape) for v in other.views] != [(v.name, v.shape) for v in self.views]:
            raise SchemaError(
                f"images differ in shape from those of {self.path}",
                where=other.path,
                mend="convert both with the same settings (convert.images)",
            )

    def verify(self) -> list[str]:
        """Compare every tile with its checksum.

        Returns:
            The damaged ones, such as ``mc/features rows 65536-131071``; empty if all is whole.
        """
        layout = self._layout()
        paths = [column.path for domain in layout.domains for column in layout.columns(domain)]
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
        """Rows of a dataset as they are, if a training can count with them.

        Raises:
            SchemaError: they number a class, sample or split that is not there; a weight is not
                finite, or a feature infinite.
        """
        where = f"{self.path}:{path}"
        self._layout().check_indices(path, values, where=where)
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

    def _tiles(self, domain: str, name: str) -> Iterator[NDArray[Any]]:
        with self.read() as file:
            dataset = file[domain][name]
            path = f"{domain}/{name}"
            for start in range(0, max(len(dataset), 1), TILE_ROWS):
                tile = dataset[start : start + TILE_ROWS]
                self._layout().check_indices(path, tile, where=f"{self.path}:{path}")
                yield tile

    def _read(
        self, domain: str, names: tuple[str, ...], pseudo: bool | None = None
    ) -> dict[str, NDArray[Any]]:
        """Datasets of a domain; only the rows of one half unless ``pseudo`` is None."""
        self._need(domain)
        keep = None
        if pseudo is not None:
            keep = is_pseudo(self.column(domain, "event_id"), self.split_config.seed) == pseudo
        with self.read() as file:
            rows = {name: rows_of(file[domain][name], keep) for name in names}
        return {name: self.check_rows(f"{domain}/{name}", found) for name, found in rows.items()}

    def _scalars(self, domain: str) -> tuple[str, ...]:
        further = self.weights if domain == "mc" else ()
        return (*_SCALARS, *(f"weights/{weight}" for weight in further))

    def _place(self, domain: str, name: str) -> tuple[str, int | None]:
        self._need(domain)
        if name in self._scalars(domain):
            return name, None
        for group, names in (("spectators", self.spectators), ("features", self.features)):
            if name in names:
                return group, names.index(name)
        known = [*self._scalars(domain), *self.spectators, *self.features]
        raise SchemaError(
            f"no column {name!r}", where=f"{self.path}:{domain}", mend=f"there are {known}"
        )

    def _need(self, domain: str) -> None:
        if domain not in self.samples:
            kind = {"mc": "MC", "data": "detector"}.get(domain, domain)
            raise SchemaError(
                f"holds no {kind} events",
                where=self.path,
                mend="convert again with them" if domain in DOMAINS else "domains are mc and data",
            )

    def _layout(self) -> Layout:
        return Layout(
            features=self.features,
            units=self.units,
            info=self.feature_info,
            spectators=self.spectators,
            classes=self.classes,
            samples=self.samples,
            weights=self.weights,
            truth=self.has_truth,
            views=self.views,
        )
