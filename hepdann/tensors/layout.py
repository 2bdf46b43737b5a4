"""What a row of the tensor file is: the columns of each domain, their types and their meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import SchemaError
from .source_and_target import SPLITS

if TYPE_CHECKING:
    from .objects import Jagged

FORMAT = "hepdann-tensors"
FORMAT_VERSION = 1
DOMAINS = ("mc", "data")
TRUTH = "truth/data/label"
CHUNK_ROWS = 64  # images that are compressed together
TABLE_ROWS = 8_192  # rows of a compressed table: what training in blocks reads at a time

_MOST_SAMPLES = 1 << 16  # sample is uint16
_MOST_OBJECTS = 10_000  # of an event, for which a row has room


@dataclass(frozen=True)
class Dataset:
    """One dataset: its path in the file, its little-endian type and the shape of one row.

    ``chunk`` is how many rows are stored together, 0 if the dataset is contiguous; ``codec`` and
    ``shuffle`` say how they are compressed.
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

    def compressed(self, codec: str) -> Dataset:
        """The same rows in chunks of this codec; as they are for "none"."""
        if codec == "none" or not self.row_bytes:
            return self
        if self.chunk:
            return replace(self, codec=codec, shuffle=self.codec == "none")
        return replace(self, chunk=TABLE_ROWS, codec=codec, shuffle=True)


@dataclass(frozen=True)
class Transform:
    """Pixels without a hit stay 0; of the others, x becomes ``scale · f(clip(x))``.

    Attributes:
        clip: smallest and largest value; ``None`` clips nothing.
        log: whether f is sign(x) log(1 + |x|), which keeps 0 and the sign; else it is x.
        scale: a factor.
    """

    clip: tuple[float, float] | None = None
    log: bool = False
    scale: float = 1.0

    @property
    def identity(self) -> bool:
        """Whether it changes nothing."""
        return self == Transform()

    def forward(self, values: NDArray[Any]) -> NDArray[Any]:
        """Transform values of hits, in their units; of the type of ``values``."""
        if self.clip is not None:
            values = np.clip(values, *self.clip)
        if self.log:
            values = np.sign(values) * np.log1p(np.abs(values))
        return np.asarray(values * values.dtype.type(self.scale))

    def inverse(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of hits as they were; what was clipped comes back as the limit."""
        values = values / values.dtype.type(self.scale)
        if self.log:
            values = np.sign(values) * np.expm1(np.abs(values))
        return values

    def apply(self, images: NDArray[np.float32]) -> None:
        """Change pixels in place."""
        if not self.identity:
            hit = images != 0
            images[hit] = self.forward(images[hit])


@dataclass(frozen=True)
class View:
    """The images of one view: (channels, height, width) an event.

    Attributes:
        name: "x", "u" or "v" of a detector; "image" of pictures.
        channels: numbers a pixel, such as energy and time, or red, green and blue.
        height: pixels across the planes (strips); rows of a picture.
        width: pixels along the beam (planes of the view); columns of a picture.
        channel_names: what the channels are; empty if that is not known.
        transforms: what was done to the pixels of each; empty if nothing was.
        dtype: as a pixel is stored: "<f4", or "|u1" of pictures, of which 255 is read as 1.
    """

    name: str
    channels: int
    height: int
    width: int
    channel_names: tuple[str, ...] = ()
    transforms: tuple[Transform, ...] = ()
    dtype: Literal["<f4", "|u1"] = "<f4"

    @property
    def in_mev(self) -> bool:
        """Whether the first channel is the energy of hits, as it was."""
        changed = any(one.log or one.scale != 1 for one in self.transforms[:1])
        return self.channel_names[:1] == ("energy",) and not changed

    @property
    def pictures(self) -> bool:
        """Whether a pixel is a byte."""
        return self.dtype == "|u1"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    def check(self) -> None:
        """Whether it has pixels, and a name and a transform for each channel or for none.

        Raises:
            SchemaError: it has not.
        """
        if min(self.shape) < 1:
            raise SchemaError(f"view {self.name} has no pixels: its shape is {self.shape}")
        if len(self.channel_names) not in (0, self.channels):
            names = f"{len(self.channel_names)} names of channels"
            raise SchemaError(f"view {self.name} has {self.channels} channels, but {names}")
        if len(self.transforms) not in (0, self.channels):
            raise SchemaError(f"view {self.name} needs one transform for each channel")
        if self.dtype not in ("<f4", "|u1"):
            raise SchemaError(f"pixels of view {self.name} are of type {self.dtype}")


@dataclass(frozen=True)
class Collection:
    """Objects of one kind, of which an event has any number.

    Attributes:
        name: of the collection.
        features: names of the numbers that each object has.
        most: objects of an event that are kept, the first ones.
        classes: names of the classes that MC objects are labelled with; none without labels.
    """

    name: str
    features: tuple[str, ...]
    most: int
    classes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Numbers of an event's row: how many objects there are, and their features."""
        return 1 + self.most * len(self.features)

    def datasets(self, domain: str) -> tuple[Dataset, ...]:
        """As :meth:`.Layout.object_datasets` gives them."""
        path, size = f"{domain}/objects/{self.name}", (len(self.features),)
        offsets = Dataset(f"{path}/offsets", "<i8")
        values = Dataset(f"{path}/values", "<f4", size, TABLE_ROWS, "none")
        if not self.classes or domain != "mc":
            return offsets, values
        return offsets, values, Dataset(f"{path}/label", "<i4", (), TABLE_ROWS, "none")


def _check_unique(kind: str, names: Sequence[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise SchemaError(f"{kind} named twice: {', '.join(twice)}")


def differing(expected: Sequence[str], names: Sequence[str]) -> str:
    """The names that only one of two lists has; that the order differs where both have them all."""
    differ = sorted(set(expected) ^ set(names))
    return ", ".join(differ) or "their order"


@dataclass(frozen=True, eq=False)
class Block:
    """Some thousand events of one domain, every array with the same first axis.

    Attributes:
        features: (n, F) float32; NaN marks a missing value.
        spectators: (n, S) float32.
        weight: (n,) float32.
        sample: (n,) uint16, index into the domain's sample names.
        event_id: (n,) uint64.
        label: (n,) int32 class index; ``None`` in data.
        weights: further weights by name, each (n,) float32.
        truth: (n,) int32 true class of pseudo-data or simulated "data"; ``None`` elsewhere.
        views: images by name of the view, each (n, C, H, W) float32, of pictures uint8.
        variations: of MC, features as systematic variations have them, by name (n, F) float32; NaN
            alone in a row: the variation does not have this event.
        objects: by name of the collection.
    """

    features: NDArray[np.float32]
    spectators: NDArray[np.float32]
    weight: NDArray[np.float32]
    sample: NDArray[np.uint16]
    event_id: NDArray[np.uint64]
    label: NDArray[np.int32] | None = None
    weights: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    truth: NDArray[np.int32] | None = None
    views: dict[str, NDArray[Any]] = field(default_factory=dict)
    variations: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    objects: dict[str, Jagged] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, eq=False, kw_only=True)
class Layout:
    """The columns of a tensor file.

    Attributes:
        features: names of the network inputs, in order; ``units`` and ``feature_info`` run along,
            by default empty for each.
        spectators: names of the columns kept for plots and cuts.
        classes: class names by label, empty without MC.
        samples: domain to the names that the ``sample`` column indexes.
        weights: names of further MC weights.
        has_truth: whether the data's true labels are stored apart, for ``evaluation``.
        views: the images of an event, in order, of the same shapes in all domains; or none.
        variations: names of systematic variations of the features of MC.
        objects: the collections of objects of an event, in order; or none.

    Raises:
        SchemaError: names that repeat, units or infos that do not match the features, an unknown
            domain, truth without data, or impossible views or collections.
    """

    features: tuple[str, ...]
    units: tuple[str, ...] = ()
    feature_info: tuple[dict[str, Any], ...] = ()
    spectators: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    samples: Mapping[str, tuple[str, ...]]
    weights: tuple[str, ...] = ()
    has_truth: bool = False
    views: tuple[View, ...] = ()
    variations: tuple[str, ...] = ()
    objects: tuple[Collection, ...] = ()

    def __post_init__(self) -> None:
        for kind, empty in (("units", ""), ("feature_info", {})):
            if not getattr(self, kind):
                object.__setattr__(self, kind, (empty,) * len(self.features))
            if len(getattr(self, kind)) != len(self.features):
                counts = f"{len(self.features)} features, but {len(getattr(self, kind))}"
                raise SchemaError(f"{counts} {kind}")
        unknown = sorted(set(self.samples) - set(DOMAINS))
        if unknown or not self.samples:
            raise SchemaError(f"unknown domain {', '.join(unknown)}" if unknown else "no domain")
        if self.has_truth and "data" not in self.samples:
            raise SchemaError("true labels of data are given, but there is no data")
        for domain, names in self.samples.items():
            if len(names) > _MOST_SAMPLES:
                raise SchemaError(f"{len(names)} samples, at most {_MOST_SAMPLES} are possible")
            _check_unique(f"{domain} samples", names)
        for kind in ("features", "spectators", "classes", "weights", "variations"):
            _check_unique(kind, getattr(self, kind))
        groups = {kind: [one.name for one in getattr(self, kind)] for kind in ("views", "objects")}
        groups |= {kind: list(getattr(self, kind)) for kind in ("weights", "variations")}
        for kind, parts in groups.items():
            _check_unique(kind, parts)
            bad = [name for name in parts if "/" in name or name.startswith(".")]
            if bad or (kind in ("views", "objects") and "" in parts):
                raise SchemaError(f"names of {kind} hold no / and no leading dot: {parts}")
        for one in self.objects:
            _check_unique(f"features of {one.name}", one.features)
            _check_unique(f"classes of {one.name}", one.classes)
            if not 1 <= one.most <= _MOST_OBJECTS or not one.features:
                raise SchemaError(f"{one.name} has {one.most} objects of {one.features}")
        if self.objects and self.views:
            raise SchemaError("objects and images of an event do not go together")
        for view in self.views:
            view.check()
        if len({view.dtype for view in self.views}) > 1:
            raise SchemaError("views of pictures and of hits do not go together")

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that the file holds, MC first."""
        return tuple(domain for domain in DOMAINS if domain in self.samples)

    @property
    def tabular(self) -> bool:
        """Whether networks see the features: there are neither images nor objects."""
        return not (self.views or self.objects)

    def object_datasets(self, domain: str) -> tuple[tuple[Dataset, ...], ...]:
        """Of each collection where the objects of an event begin, (N + 1,), and their features.

        Behind these the class of each object of MC, if they are labelled.
        """
        return tuple(one.datasets(domain) for one in self.objects)

    def all_datasets(self, domain: str) -> tuple[Dataset, ...]:
        """Those of :meth:`datasets` and of :meth:`object_datasets`."""
        pairs = self.object_datasets(domain)
        return (*self.datasets(domain), *(column for pair in pairs for column in pair))

    def sizes(self, rows: Mapping[str, int]) -> dict[str, int]:
        """Rows of every dataset by path.

        ``rows`` are events by domain, and objects by the path of their values; none if not given.
        """
        sizes: dict[str, int] = {}
        for domain in self.domains:
            sizes |= {column.path: rows[domain] for column in self.datasets(domain)}
            for offsets, values, *label in self.object_datasets(domain):
                sizes[offsets.path] = rows[domain] + 1
                sizes |= {one.path: rows.get(values.path, 0) for one in (values, *label)}
        return sizes

    def datasets(self, domain: str) -> tuple[Dataset, ...]:
        """The datasets that grow by one row an event of ``domain``."""
        columns = [
            Dataset(f"{domain}/features", "<f4", (len(self.features),)),
            Dataset(f"{domain}/spectators", "<f4", (len(self.spectators),)),
            Dataset(f"{domain}/weight", "<f4"),
            Dataset(f"{domain}/sample", "<u2"),
            Dataset(f"{domain}/event_id", "<u8"),
            Dataset(f"{domain}/split", "|u1"),
        ]
        if domain == "mc":
            columns.append(Dataset("mc/label", "<i4"))
            columns += [Dataset(f"mc/weights/{name}", "<f4") for name in self.weights]
            shape = (len(self.features),)
            columns += [Dataset(f"mc/variations/{name}", "<f4", shape) for name in self.variations]
        elif self.has_truth:
            columns.append(Dataset(TRUTH, "<i4"))
        for view in self.views:
            path = f"{domain}/views/{view.name}"
            columns.append(Dataset(path, view.dtype, view.shape, CHUNK_ROWS))
        return tuple(columns)

    def arrays(
        self, domain: str, block: Block, split: NDArray[np.uint8]
    ) -> dict[str, NDArray[Any]]:
        """The block's arrays by dataset path, C-ordered, of the stored type and shape.

        Raises:
            ValueError: an array is missing, not of the block's length or width, or not foreseen;
                likewise objects.
            SchemaError: a label or a sample index is out of range.
        """
        given: dict[str, NDArray[Any] | None] = {
            f"{domain}/{name}": getattr(block, name)
            for name in ("features", "spectators", "weight", "sample", "event_id")
        }
        given[f"{domain}/split"] = split
        given["mc/label"], given[TRUTH] = block.label, block.truth
        given |= {f"mc/weights/{name}": values for name, values in block.weights.items()}
        given |= {f"mc/variations/{name}": values for name, values in block.variations.items()}
        for view in self.views:
            values = block.views.get(view.name)
            if values is not None and view.pictures and values.dtype != np.uint8:
                raise ValueError(f"pictures of a block are of type {values.dtype}, not uint8")
        given |= {f"{domain}/views/{name}": values for name, values in block.views.items()}
        columns = self.datasets(domain)
        extra = {path for path, values in given.items() if values is not None}
        extra -= {column.path for column in columns}
        if extra:
            raise ValueError(f"a block of {domain} has no place for {', '.join(sorted(extra))}")
        rows = {}
        for column in columns:
            values = given.get(column.path)
            shape = (len(block), *column.shape)
            if values is None or values.shape != shape:
                problem = "missing" if values is None else f"of shape {values.shape}"
                raise ValueError(f"{column.path} of a block is {problem}, expected {shape}")
            rows[column.path] = np.ascontiguousarray(values, dtype=column.dtype)
        for path, stored in rows.items():
            self.check_indices(path, stored)
        shapes = {n: (len(part), part.values.shape[1]) for n, part in block.objects.items()}
        expected = {one.name: (len(block), len(one.features)) for one in self.objects}
        if shapes != expected:
            raise ValueError(f"objects of a block are {shapes}, expected {expected}")
        return rows

    def check_indices(self, path: str, values: NDArray[Any], *, where: object = None) -> None:
        """Whether a column that numbers samples, classes or splits numbers those that there are.

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
