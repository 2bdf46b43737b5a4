"""A tensor file: opening it, what it holds, and its events as source, target or pseudo-target."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

from ..display import command_line, html_table, listed
from ..errors import SchemaError
from ..inputs import Stamp, file_stamp, regular_file
from .arrays import TemporaryFile, write_arrays
from .file import TensorFile
from .hdf5.checksums import check_seal
from .hdf5.chunks import check_codec, check_datasets, check_stamp, h5_open
from .layout import DOMAINS, FORMAT, FORMAT_VERSION, TRUTH, Collection, Dataset, Layout, differing
from .source_and_target import Source, Target
from .views import views_of

_TARGET_FIELDS = ("features", "weight", "event_id", "split")
_TITLES = {"mc": "MC", "data": "data"}


@dataclass(frozen=True, eq=False)
class Tensors(TensorFile):
    """A tensor file, and its events as training sees them.

    What it holds (classes, features, samples, views, …) are the attributes of :class:`.Layout`. No
    method gives the label of a target: true labels are opened by ``evaluation`` alone.

    Attributes:
        impute: (F,) float64, what a network sees in place of a missing value (NaN).
        provenance: which version made the file, from what, with which settings.
    """

    impute: NDArray[np.float64]
    provenance: dict[str, Any]
    _temporary: object = None  # a temporary file lives as long as this

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
        spectators: Sequence[str] = (),
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
            spectators: columns kept for figures and cuts, never an input; NaN where data have none.
            output: the tensor file; default a temporary one that is removed with the last object
                that refers to it.

        Raises:
            SchemaError: these are not numbers, do not fit together, or cannot be written.
        """
        temporary = None
        if output is None:
            output = (temporary := TemporaryFile()).path
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
            spectators=tuple(spectators),
        )
        return replace(open_tensors(path), _temporary=temporary)

    def __repr__(self) -> str:
        what = [f"{self.rows(domain):,} {_TITLES[domain]} events" for domain in self.domains]
        what += [f"{name} ({listed(names)})" for name, names in self._contents() if names]
        return f"<{type(self).__name__} {self.path}: {', '.join(what)}>"

    def _repr_html_(self) -> str:
        rows = [(f"{_TITLES[name]} events", f"{self.rows(name):,}") for name in self.domains]
        rows += [(name, listed(names)) for name, names in self._contents() if names]
        return html_table(str(self.path), (), rows)

    def _contents(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        views = tuple(f"{view.name} {'×'.join(map(str, view.shape))}" for view in self.views)
        objects = tuple(f"{one.name}: {', '.join(one.features)}" for one in self.objects)
        counted = f"{len(self.features)} features"
        pairs = ("classes", self.classes), (counted, self.features)
        return (*pairs, ("images", views), ("objects", objects))

    @property
    def has_data(self) -> bool:
        """Whether there are detector events."""
        return "data" in self.samples

    def class_looks(self, key: Literal["title", "color"]) -> list[str]:
        """What the configuration of the conversion says of each class; empty where it does not."""
        given = (self.provenance.get("settings", {}).get("convert") or {}).get("classes") or []
        looks = {entry["name"]: entry for entry in given if isinstance(entry, dict)}
        return [looks.get(name, {}).get(key) or "" for name in self.classes]

    def source(self, *, half: bool = False) -> Source:
        """The labelled MC.

        Raises:
            SchemaError: the file holds no MC.
        """
        fields = self.read_columns("mc", (*_TARGET_FIELDS, "label"), pseudo=False if half else None)
        return Source(**fields, classes=self.classes)

    def target(self) -> Target:
        """The detector events.

        Raises:
            SchemaError: the file holds no data.
        """
        return Target(**self.read_columns("data", _TARGET_FIELDS))

    def pseudo_target(self) -> Target:
        """The MC events that stand in for data, not shifted yet; shares none with the half source.

        Raises:
            SchemaError: the file holds no MC.
        """
        return Target(**self.read_columns("mc", _TARGET_FIELDS, pseudo=True))

    def check_features(self, other: Tensors) -> None:
        """Whether another file has the same features in the same order, images and objects.

        Raises:
            SchemaError: it has not; names the features that differ.
        """
        if other.features != self.features:
            differ = differing(self.features, other.features)
            raise SchemaError(
                f"features differ from those of {self.path}: {differ}",
                where=other.path,
                mend=f"make it with {command_line('convert', '--like', self.path)}",
            )
        shapes = [[(v.name, v.shape, v.dtype) for v in file.views] for file in (self, other)]
        if shapes[0] != shapes[1]:
            raise SchemaError(
                f"images differ in shape from those of {self.path}",
                where=other.path,
                mend="convert both with the same settings (convert.images)",
            )
        plain = [[replace(one, classes=()) for one in file.objects] for file in (self, other)]
        if plain[0] != plain[1]:  # labels are MC's alone
            raise SchemaError(
                f"objects differ from those of {self.path}",
                where=other.path,
                mend=f"make it with {command_line('convert', '--like', self.path)}",
            )


def open_tensors(path: Tensors | str | Path) -> Tensors:
    """Open a tensor file.

    Args:
        path: a file that ``hepdann convert`` or :class:`TensorWriter` made; what this call gave
            before is given back.

    Raises:
        SchemaError: no such file, not HDF5, not a tensor file, another format version, not
            complete, or datasets that do not fit together.
    """
    if isinstance(path, Tensors):
        return path
    path = regular_file(path, SchemaError, mend="name a file that hepdann convert made")
    if not path.exists():
        raise SchemaError("no such file", where=path, mend="make it with hepdann convert")
    stamp = file_stamp(path)
    try:
        check_seal(path)
        file = h5_open(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SchemaError(f"cannot be opened ({reason})", where=path) from error
    with file:
        try:
            _check_header(path, file.attrs)
            check_codec(str(file.attrs.get("compress", "")), where=path)
            check_datasets(file)
            tensors = _describe(path, file, stamp)
        except (LookupError, ValueError, TypeError, OSError, RuntimeError) as error:
            raise SchemaError(f"is damaged ({error})", where=path, mend="convert again") from error
        check_stamp(file.id.get_vfd_handle(), path, stamp)
    return tensors


def _check_header(path: Path, attrs: Any) -> None:
    if str(attrs.get("format")) != FORMAT:
        raise SchemaError(
            f"is an HDF5 file, but not a tensor file (format {attrs.get('format')!r})", where=path
        )
    version = attrs.get("format_version")
    if version != FORMAT_VERSION:
        raise SchemaError(
            f"has format version {version}, this hepdann reads {FORMAT_VERSION}",
            where=path,
            mend="convert the inputs again",
        )
    if not attrs.get("complete", False):
        raise SchemaError(
            "is not complete, its conversion was cut off", where=path, mend="convert again"
        )


def _describe(path: Path, file: Any, stamp: Stamp | None) -> Tensors:
    from ..config.samples import SplitConfig

    domains = [domain for domain in DOMAINS if domain in file]
    if not domains:
        raise ValueError("it holds neither mc nor data")
    features = file[domains[0]]["features"].attrs
    try:
        layout = Layout(
            features=_names(features["names"]),
            units=_names(features["units"]),
            feature_info=tuple(dict(entry) for entry in json.loads(features["info"])),
            spectators=_names(file[domains[0]]["spectators"].attrs["names"]),
            classes=_names(file["mc"].attrs["classes"]) if "mc" in domains else (),
            samples={domain: _names(file[domain]["sample"].attrs["names"]) for domain in domains},
            weights=tuple(file["mc/weights"]) if "mc/weights" in file else (),
            has_truth=TRUTH in file,
            views=views_of(file, domains[0]),
            variations=tuple(file["mc/variations"]) if "mc/variations" in file else (),
            objects=_collections(file, domains[0]),
        )
    except SchemaError as error:
        raise ValueError(error.message) from error
    rows = {domain: len(file[domain]["features"]) for domain in domains}
    _check_datasets(file, layout, rows)
    impute = np.asarray(features["impute"], dtype=np.float64)
    provenance = json.loads(file.attrs["provenance"])
    if impute.shape != (len(layout.features),) or not np.isfinite(impute).all():
        raise ValueError("impute needs one finite number for each feature")
    if not isinstance(provenance, dict):
        raise ValueError("its provenance is not a JSON object")
    return Tensors(
        **vars(layout),
        path=path,
        split_config=SplitConfig.model_validate_json(file.attrs["split"]),
        impute=impute,
        provenance=provenance,
        _rows=rows,
        _stamp=stamp,
    )


def _names(values: Any) -> tuple[str, ...]:
    """Names that can be printed and drawn.

    Raises:
        ValueError: one is not UTF-8, or holds a control character.
    """
    names = tuple(str(value) for value in values)
    for name in names:
        name.encode()
        if any(category(character) == "Cc" for character in name):
            raise ValueError(f"the name {name!a} holds a control character")
    return names


def _collections(file: Any, domain: str) -> tuple[Collection, ...]:
    """What an open HDF5 file holds of objects in one domain."""
    group = file[domain].get("objects")
    if group is None:
        return ()
    return tuple(
        Collection(
            str(name),
            tuple(str(feature) for feature in group[name].attrs["features"]),
            int(group[name].attrs["most"]),
            tuple(str(label) for label in group[name].attrs.get("classes", ())),
        )
        for name in group.attrs["names"]
    )


def _check_datasets(file: Any, layout: Layout, rows: Mapping[str, int]) -> None:
    """Whether the datasets of a layout are there, of the right type and shape, and named alike.

    Raises:
        ValueError: names the dataset, and what differs.
    """
    for domain in layout.domains:
        for column in layout.datasets(domain):
            _check_dataset(file, column, rows[domain])
        for kind, expected in (("features", layout.features), ("spectators", layout.spectators)):
            names = tuple(str(name) for name in file[domain][kind].attrs["names"])
            if names != expected:
                raise ValueError(
                    f"the {kind} of {domain} are not those of {layout.domains[0]}: "
                    f"{differing(expected, names)}"
                )
        if _collections(file, domain) != layout.objects:
            raise ValueError(f"the objects of {domain} are not those of {layout.domains[0]}")
        for offsets, values, *label in layout.object_datasets(domain):
            _check_dataset(file, offsets, rows[domain] + 1)
            for column in (values, *label):
                _check_dataset(file, column, len(file.get(values.path, ())))
        transforms = {view.name: view.transforms for view in layout.views}
        for view in views_of(file, domain):  # another program may say nothing of transforms
            first = transforms.get(view.name)
            if first is None or (first and view.transforms and first != view.transforms):
                raise ValueError(f"view {view.name} of {domain} is not that of {layout.domains[0]}")


def _check_dataset(file: Any, column: Dataset, rows: int) -> None:
    import h5py

    dataset, shape = file.get(column.path), (rows, *column.shape)
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{column.path} is missing")
    if dataset.shape != shape:
        raise ValueError(f"{column.path} has shape {dataset.shape}, expected {shape}")
    if dataset.id.get_type() != h5py.h5t.py_create(np.dtype(column.dtype)):
        raise ValueError(f"{column.path} is of type {dataset.dtype}, expected {column.dtype}")
