"""What a row of the tensor file is: the columns of each domain, their types and their meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SchemaError
from .block import Block
from .domains import SPLITS
from .transform import Transform

__all__ = [
    "CHUNK_ROWS",
    "DOMAINS",
    "FORMAT",
    "FORMAT_VERSION",
    "TABLE_ROWS",
    "TRUTH",
    "Column",
    "Layout",
    "View",
]

FORMAT = "hepdann-tensors"
FORMAT_VERSION = 1
DOMAINS = ("mc", "data")
TRUTH = "truth/data/label"
CHUNK_ROWS = 64  # images that are compressed together
TABLE_ROWS = 8_192  # rows of a compressed table: what training in blocks reads at a time

_MOST_SAMPLES = 1 << 16  # sample is uint16


@dataclass(frozen=True)
class Column:
    """One dataset: its path in the file, its little-endian type and the shape of one row.

    ``chunk`` is how many rows are compressed together, 0 if the dataset is contiguous; ``codec``
    and ``shuffle`` say how.
    """

    path: str
    dtype: str
    shape: tuple[int, ...] = ()
    chunk: int = 0
    codec: str = "gzip"
    shuffle: bool = False

    @property
    def row_bytes(self) -> int:
        """Size of one row in bytes."""
        return int(np.dtype(self.dtype).itemsize * np.prod(self.shape, dtype=np.int64))

    def compressed(self, codec: str) -> Column:
        """The same rows in chunks of this codec; as they are for "none"."""
        if codec == "none" or not self.row_bytes:
            return self
        if self.chunk:
            return replace(self, codec=codec)
        return replace(self, chunk=TABLE_ROWS, codec=codec, shuffle=True)


@dataclass(frozen=True)
class View:
    """The images of one view: (channels, height, width) an event.

    Attributes:
        name: "x", "u" or "v".
        channels: numbers a pixel, such as energy and time.
        height: pixels across the planes (strips).
        width: pixels along the beam (planes of the view).
        channel_names: what the channels are; empty if that is not known.
        transforms: what was done to the pixels of each; empty if nothing was.
    """

    name: str
    channels: int
    height: int
    width: int
    channel_names: tuple[str, ...] = ()
    transforms: tuple[Transform, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width


def _unique(kind: str, names: Sequence[str]) -> tuple[str, ...]:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise SchemaError(f"{kind} named twice: {', '.join(twice)}")
    return tuple(names)


@dataclass(frozen=True)
class Layout:
    """The columns of a tensor file.

    Attributes:
        features: names of the network inputs, in order; ``units`` and ``info`` run along.
        spectators: names of the columns kept for plots and cuts.
        classes: class names by label; MC alone has labels.
        samples: domain to the names that the ``sample`` column indexes; its keys are the domains.
        weights: names of further MC weights.
        truth: whether the data's true labels are stored apart.
        views: the images of an event, in order; of the same shapes in all domains.
    """

    features: tuple[str, ...]
    units: tuple[str, ...]
    info: tuple[dict[str, Any], ...]
    spectators: tuple[str, ...]
    classes: tuple[str, ...]
    samples: dict[str, tuple[str, ...]]
    weights: tuple[str, ...]
    truth: bool
    views: tuple[View, ...] = ()

    @classmethod
    def make(
        cls,
        *,
        features: Sequence[str],
        units: Sequence[str],
        spectators: Sequence[str],
        classes: Sequence[str],
        samples: Mapping[str, Sequence[str]],
        weights: Sequence[str],
        truth: bool,
        feature_info: Sequence[Mapping[str, Any]],
        views: Sequence[View] = (),
    ) -> Layout:
        """Check the pieces against each other.

        Raises:
            SchemaError: names that repeat, units or infos that do not match the features, an
                unknown domain, or truth without data.
        """
        info = tuple(dict(entry) for entry in feature_info) or tuple({} for _ in features)
        for kind, values in (("units", units), ("feature_info", info)):
            if len(values) != len(features):
                raise SchemaError(f"{len(features)} features, but {len(values)} {kind}")
        unknown = sorted(set(samples) - set(DOMAINS))
        if unknown or not samples:
            raise SchemaError(f"unknown domain {', '.join(unknown)}" if unknown else "no domain")
        if truth and "data" not in samples:
            raise SchemaError("true labels of data are given, but there is no data")
        for names in samples.values():
            if len(names) > _MOST_SAMPLES:
                raise SchemaError(f"{len(names)} samples, at most {_MOST_SAMPLES} are possible")
        if any("/" in name or name.startswith(".") for name in weights):
            raise SchemaError(f"names of weights hold no / and no leading dot: {list(weights)}")
        _check_views(views)
        return cls(
            features=_unique("features", features),
            units=tuple(units),
            info=info,
            spectators=_unique("spectators", spectators),
            classes=_unique("classes", classes),
            samples={
                domain: _unique(f"{domain} samples", samples[domain])
                for domain in DOMAINS
                if domain in samples
            },
            weights=_unique("weights", weights),
            truth=truth,
            views=tuple(views),
        )

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that the file holds, MC first."""
        return tuple(self.samples)

    def columns(self, domain: str) -> tuple[Column, ...]:
        """The datasets that grow by one row an event of ``domain``."""
        columns = [
            Column(f"{domain}/features", "<f4", (len(self.features),)),
            Column(f"{domain}/spectators", "<f4", (len(self.spectators),)),
            Column(f"{domain}/weight", "<f4"),
            Column(f"{domain}/sample", "<u2"),
            Column(f"{domain}/event_id", "<u8"),
            Column(f"{domain}/split", "|u1"),
        ]
        if domain == "mc":
            columns.append(Column("mc/label", "<i4"))
            columns += [Column(f"mc/weights/{name}", "<f4") for name in self.weights]
        elif self.truth:
            columns.append(Column(TRUTH, "<i4"))
        for view in self.views:
            columns.append(Column(f"{domain}/views/{view.name}", "<f4", view.shape, CHUNK_ROWS))
        return tuple(columns)

    def rows(self, domain: str, block: Block, split: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """The block's arrays by dataset path, C-ordered, of the stored type and shape.

        Raises:
            ValueError: an array is missing, not of the block's length or width, or not foreseen.
            SchemaError: a label or a sample index is out of range.
        """
        given: dict[str, NDArray[Any] | None] = {
            f"{domain}/{name}": getattr(block, name)
            for name in ("features", "spectators", "weight", "sample", "event_id")
        }
        given[f"{domain}/split"] = split
        given["mc/label"], given[TRUTH] = block.label, block.truth
        given |= {f"mc/weights/{name}": values for name, values in block.weights.items()}
        given |= {f"{domain}/views/{name}": values for name, values in block.views.items()}
        columns = self.columns(domain)
        extra = {path for path, values in given.items() if values is not None}
        extra -= {column.path for column in columns}
        if extra:
            raise ValueError(f"a block of {domain} has no place for {', '.join(sorted(extra))}")
        rows = {}
        for column in columns:
            values = given.get(column.path)
            shape = (len(block), *column.shape)
            if values is None or values.shape != shape:
                found = "missing" if values is None else f"of shape {values.shape}"
                raise ValueError(f"{column.path} of a block is {found}, expected {shape}")
            rows[column.path] = np.ascontiguousarray(values, dtype=column.dtype)
        for path, stored in rows.items():
            self.check_indices(path, stored)
        return rows

    def check_indices(self, path: str, values: NDArray[Any], *, where: object = None) -> None:
        """Whether a column that numbers samples, classes or splits numbers those that there are.

        Args:
            path: of the dataset; any other passes.
            values: some of its rows.
            where: what to name in an error.

        Raises:
            SchemaError: names the column and the value.
        """
        domain, _, name = path.partition("/")
        if path in ("mc/label", TRUTH):
            name, count = "label", len(self.classes) or None
        elif name == "sample":
            count = len(self.samples[domain])
        elif name == "split":
            count = len(SPLITS)
        else:
            return
        low, high = (int(values.min()), int(values.max())) if len(values) else (0, -1)
        if low < 0 or (count is not None and high >= count):
            known = "" if count is None else f", there are {count}"
            wrong = low if low < 0 else high
            raise SchemaError(f"{name} {wrong} is out of range{known}", where=where)


def _check_views(views: Sequence[View]) -> None:
    names = _unique("views", [view.name for view in views])
    if any(not name or "/" in name or name.startswith(".") for name in names):
        raise SchemaError(f"names of views hold no / and no leading dot: {list(names)}")
    for view in views:
        if min(view.shape) < 1:
            raise SchemaError(f"view {view.name} has no pixels: its shape is {view.shape}")
        if view.channel_names and len(view.channel_names) != view.channels:
            raise SchemaError(
                f"view {view.name} has {view.channels} channels, "
                f"but {len(view.channel_names)} names of channels"
            )
        if view.transforms and len(view.transforms) != view.channels:
            raise SchemaError(f"view {view.name} needs one transform for each channel")
