"""Reads ``scores.h5`` of a run: scores and weights of MC and target, and where the events are.

Features stand in the tensor file and are read from there; those of pseudo-data, which no tensor
file holds, and the figures of images stand here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...alignment import from_dict
from ...errors import RunError
from ...inputs import regular_file
from ...tensors import SPLITS, Split, Target
from ...tensors.hdf5.opening import h5_open
from ..model_file import ModelHeader, read_header
from ..paths import RunPaths
from ..state import explain_absent
from .tensor_rows import TensorRows, tensor_rows

__all__ = ["Domain", "RunScores", "open_scores"]

FORMAT = "hepdann-scores"
FORMAT_VERSION = 2  # of version 1 all features, and each score and its mean, stand in the file
MOVED = "tensors"  # of a domain: where its tensor file lay, if the run did not begin with it there
COMPLEMENT = "complement"  # of members: of two classes the first is 1 - the second
_VERSIONS = (1, 2)
_DENSEST, _SMALL = 64, 1 << 26  # times that data may shrink; bytes that may at any rate

TARGET_LABEL = "truth/target/label"  # read by ``evaluation`` alone

Domain = Literal["mc", "target"]


@dataclass(frozen=True, eq=False)
class RunScores:
    """What a run scored. Holds the description; every method reads from the file.

    Attributes:
        path: the file.
        classes: class names by index.
        methods: names of the methods, in the order to show them.
        features: names of the features.
        target_kind: "pseudo-data" or "data".
        samples: names that the MC's ``sample`` column indexes.
        has_truth: whether the target's labels are known.
        decisions: names of the reconstructions that decide for a class and give no score.
        spectators: names of the columns that are kept of images, by which figures are split.
        version: of the file's format.
        folds: parts that the run was trained without in turn; 0 of a run without folds.
    """

    path: Path
    classes: tuple[str, ...]
    methods: tuple[str, ...]
    features: tuple[str, ...]
    target_kind: str
    samples: tuple[str, ...]
    has_truth: bool
    decisions: tuple[str, ...] = ()
    spectators: tuple[str, ...] = ()
    version: int = FORMAT_VERSION
    folds: int = 0

    def rows(self, domain: Domain, *splits: Split) -> NDArray[np.bool_]:
        """(N,) which events of a domain are in one of the splits.

        With folds these are all events, whatever the split: each was held out from what scores it.
        """
        split = self.column(domain, "split")
        if self.folds:
            return np.ones(len(split), np.bool_)
        return np.isin(split, [SPLITS.index(name) for name in splits])

    @property
    def judged(self) -> str:
        """Which events the figures are those of, in words."""
        return "out of fold" if self.folds else "test split"

    def latent_rows(self, domain: Domain, most: int) -> NDArray[np.intp]:
        """The first events, at most so many, whose feature layer is kept.

        They are test events; with folds those of the part that fold 0 did not see, since the
        feature layers of two folds cannot be compared.
        """
        held_out = self.column(domain, "fold") == 0 if self.folds else self.rows(domain, "test")
        return np.flatnonzero(held_out)[:most]

    def column(self, domain: Domain, name: str) -> NDArray[Any]:
        """One dataset of a domain, such as "weight", "features" or "score/dann".

        Raises:
            RunError: there is none of that name.
        """
        values = self._read(f"{domain}/{name}")
        kind, _, rest = name.partition("/")
        if values is None and kind == "score" and rest in self.methods:
            members = self.members(domain, rest)
            values = None if members is None else members.mean(axis=0)
        if values is None and kind == "features":
            values = self.tensor_rows(domain).features()
        if values is None and kind == "aligned" and domain == "target" and rest in self.aligned:
            values = self._mapped(rest)
        if values is None:
            raise RunError(f"no dataset {domain}/{name}", where=self.path)
        return values

    def tensor_rows(self, domain: Domain) -> TensorRows:
        """Where the events of a domain stand in the tensor file of the run.

        Raises:
            RunError: that file is gone, or holds something else by now.
        """
        if domain not in self._rows:
            pseudo = None if self.target_kind == "data" else domain == "target"
            where = "data" if pseudo is None and domain == "target" else "mc"
            with self._opened() as file:
                attrs = file[domain].attrs
                paths = [str(attrs[MOVED])] if MOVED in attrs else []
            self._rows[domain] = tensor_rows(
                self.path.parent,
                where,
                self.column(domain, "event_id"),
                pseudo=pseudo,
                paths=paths,
                rows=self._read(f"{domain}/row"),
            )
        return self._rows[domain]

    @cached_property
    def _rows(self) -> dict[str, TensorRows]:
        return {}

    def _mapped(self, alignment: str) -> NDArray[np.float32]:
        """The target's features after an alignment of the run's model, or of each fold's."""
        header = read_header(RunPaths(self.path.parent).model)
        models = [header] if isinstance(header, ModelHeader) else header.folds
        if len(models) != max(1, self.folds) or alignment not in models[0].alignments:
            what = f"holds no alignment {alignment} of these scores"
            raise RunError(what, where=self.path.parent, mend="train again")
        features = self.column("target", "features")
        if not self.folds:
            return from_dict(models[0].alignments[alignment]).apply(features)
        mapped, fold = np.empty_like(features), self.column("target", "fold")
        for number, model in enumerate(models):
            rows = fold == number
            mapped[rows] = from_dict(model.alignments[alignment]).apply(features[rows])
        return mapped

    def events(self, domain: Domain, aligned: str | None = None) -> Target:
        """Features, weights, ids and splits of a domain, without labels.

        Args:
            domain: "mc" or "target".
            aligned: name of an alignment map: the target's features after it.
        """
        features = "features" if aligned is None else f"aligned/{aligned}"
        return Target(
            features=self.column(domain, features),
            weight=self.column(domain, "weight"),
            event_id=self.column(domain, "event_id"),
            split=self.column(domain, "split"),
        )

    def reference(self) -> Target:
        """The MC with the class fractions that aligned events are compared at."""
        return replace(self.events("mc"), weight=self.reference_weight())

    def reference_weight(self) -> NDArray[np.floating]:
        """(N,) weights of the MC with the class fractions that are expected in the target."""
        weight = self._read("mc/reference_weight")
        return self.column("mc", "weight") if weight is None else weight

    def score(self, domain: Domain, method: str) -> NDArray[np.floating]:
        """(N, C) class probabilities, the mean over members."""
        return self.column(domain, f"score/{method}")

    def varied(self, method: str) -> NDArray[np.floating] | None:
        """(2, N, C) scores of MC whose calibration is changed by an error, up and down.

        ``None`` of a method before which MC passes no calibration.
        """
        return self._read(f"mc/varied/{method}")

    def decision(self, domain: Domain, name: str) -> NDArray[np.float32]:
        """(N, C + 1), 1 in the column of the class decided for; the last where for none."""
        given, classes = self.column(domain, f"decision/{name}"), len(self.classes)
        known = (given >= 0) & (given < classes)
        return np.eye(classes + 1, dtype=np.float32)[np.where(known, given, classes)]

    def spectator(self, domain: Domain, name: str) -> NDArray[np.float32]:
        """(N,) one of :attr:`spectators`."""
        return self.column(domain, f"spectators/{name}")

    def members(self, domain: Domain, method: str) -> NDArray[np.floating] | None:
        """(K, N, C) class probabilities of each member; ``None`` if they were not kept."""
        name = f"{domain}/members/{method}"
        with self._opened() as file:
            two = name in file and bool(file[name].attrs.get(COMPLEMENT, False))
        members = self._read(name)
        if members is None or not two:
            return members
        return np.concatenate([1 - members, members], axis=-1)

    def domain_score(self, domain: Domain, method: str) -> NDArray[np.floating] | None:
        """(N,) output of the domain head, larger for target; ``None`` without a domain head."""
        return self._read(f"{domain}/domain_score/{method}")

    def latent(self, domain: Domain, method: str) -> NDArray[np.float32] | None:
        """(n, H) output of the feature extractor for n of :meth:`latent_rows`; or ``None``."""
        return self._read(f"{domain}/latent/{method}")

    @property
    def aligned(self) -> tuple[str, ...]:
        """Names of the alignment maps whose features are stored, in the order of the methods."""
        with self._opened() as file:
            target = file["target"]
            stored = tuple(target.get("aligned", ()))
            names = stored if self.version == 1 else _names(target.attrs["aligned"])
        known = [name for name in self.methods if name in names]
        return (*known, *(name for name in names if name not in known))

    def look(self, name: str) -> dict[str, str]:
        """What a configuration says of how features and processes are shown.

        Args:
            name: "units" or "titles" of the features, "sample_titles" or "sample_colors" of the
                MC's processes, "class_titles" or "class_colors" of the classes.

        Returns:
            By the name of feature, process or class; those of which nothing was said are left out.
        """
        kind, _, attribute = name.rpartition("_")
        places = {"sample": ("mc/sample", self.samples), "class": ("mc/label", self.classes)}
        where, known = places.get(kind, ("/", self.features))
        with self._opened() as file:
            attrs = file[where].attrs if where in file else {}
            said = _names(attrs[attribute]) if attribute in attrs else ()
        return {key: text for key, text in zip(known, said, strict=False) if text}

    def truth(self) -> NDArray[np.int32] | None:
        """(M,) true class of the target's events; ``None`` for data. For ``evaluation`` alone."""
        return self._read(TARGET_LABEL)

    def _read(self, path: str) -> NDArray[Any] | None:
        with self._opened() as file:
            values = np.asarray(file[path][...]) if path in file else None
        if values is not None and not self._sound(path, values):
            what = f"is damaged: {path} holds impossible values"
            raise RunError(what, where=self.path, mend="train again")
        return values

    def _sound(self, path: str, values: NDArray[Any]) -> bool:
        """Whether a column holds what it can hold; features alone may lack values."""
        most = {
            "mc/label": len(self.classes),
            TARGET_LABEL: len(self.classes),
            "mc/sample": len(self.samples),
            "mc/split": len(SPLITS),
            "target/split": len(SPLITS),
            "mc/fold": self.folds,
            "target/fold": self.folds,
        }.get(path)
        if most is not None:
            return bool(((values >= 0) & (values < most)).all())
        kind = path.split("/")[1]
        if kind == "row":
            return bool((values[:1] >= 0).all() and (np.diff(values) > 0).all())
        if values.dtype.kind != "f" or kind in ("features", "aligned", "spectators"):
            return True
        return bool(np.isfinite(values).all())

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with h5_open(self.path) as file:
                yield file
        except (OSError, KeyError, RuntimeError) as error:  # h5py's names for damage
            raise RunError(f"cannot be read ({error})", where=self.path) from error


def open_scores(path: str | Path) -> RunScores:
    """Open the scores of a run.

    Args:
        path: ``scores.h5``, or the run folder that holds it.

    Raises:
        RunError: no such file, not HDF5, another format or version, or not complete.
    """
    path = Path(path)
    folder = path.parent if path.name == RunPaths(path.parent).scores.name else path
    if path.is_dir():
        path = RunPaths(path).scores
    regular_file(path, RunError, mend="put the scores of the run there")
    if not path.exists():
        raise explain_absent(folder)
    try:
        file = h5_open(path)
    except PermissionError as error:
        raise RunError("cannot be opened: Permission denied", where=path) from error
    except OSError as error:
        raise RunError(
            "is not an HDF5 file, or is cut off", where=path, mend="train again"
        ) from error
    with file:
        try:
            scores = _describe(path, file)
            _check(scores, file)
            return scores
        except (KeyError, ValueError, TypeError, OSError, RuntimeError) as error:
            raise RunError(f"is damaged ({error})", where=path, mend="train again") from error


def _describe(path: Path, file: Any) -> RunScores:
    attrs = file.attrs
    if str(attrs.get("format")) != FORMAT:
        raise RunError("is not the scores of a run", where=path)
    version = attrs.get("format_version")
    if version not in _VERSIONS:
        raise RunError(
            f"has format version {version}, this hepdann reads up to {FORMAT_VERSION}",
            where=path,
            mend="train again",
        )
    if not attrs.get("complete", False):
        raise RunError("is not complete, its run was cut off", where=path, mend="train again")
    _refuse_links(file)
    sample = file["mc"].get("sample")
    return RunScores(
        path=path,
        classes=_names(attrs["classes"]),
        methods=_names(attrs["methods"]),
        features=_names(attrs["features"]),
        target_kind=str(attrs["target_kind"]),
        samples=() if sample is None else _names(sample.attrs["names"]),
        has_truth=TARGET_LABEL in file,
        decisions=tuple(file["mc"].get("decision", ())),
        spectators=tuple(file["mc"].get("spectators", ())),
        version=int(version),
        folds=int(attrs.get("folds", 0)),
    )


_NUMBERS = ("event_id", "split", "fold", "label", "sample", "row", "decision")
_SHAPES = {  # of a dataset, or of each dataset of a group: dimensions, and kind of number
    "weight": ("N", "f"),
    "reference_weight": ("N", "f"),
    **dict.fromkeys(_NUMBERS, ("N", "iu")),
    "entry": ("NE", "iu"),
    "features": ("NF", "f"),
    "aligned": ("NF", "f"),
    "score": ("NC", "f"),
    "members": ("KNC", "f"),
    "varied": ("KNC", "f"),
    "domain_score": ("N", "f"),
    "latent": ("nH", "f"),
    "spectators": ("N", "f"),
}
_GROUPS = {
    "aligned", "decision", "domain_score", "latent", "members", "score", "spectators", "varied",
}  # fmt: skip


def _check(scores: RunScores, file: Any) -> None:
    """Whether each dataset has the shape and type that everybody relies on.

    Raises:
        ValueError: one is missing or another; or something lies in another file, or takes more
            memory than the file has bytes.
    """
    if scores.target_kind not in ("pseudo-data", "data"):
        raise ValueError(f"target kind {scores.target_kind!r:.60}")
    for names in (scores.classes, scores.methods, scores.features, scores.samples):
        if len(set(names)) < len(names):
            raise ValueError("a name comes twice")
    if len(scores.classes) < 2 or not scores.methods:
        raise ValueError("no classes, or no methods")
    for domain in ("mc", "target"):
        group = file[domain]
        sizes = {"N": len(group["weight"]), "F": len(scores.features), "C": len(scores.classes)}
        score = "score" if scores.version == 1 else "members"
        needed = ["event_id", "split", *(f"{score}/{m}" for m in scores.methods)]
        needed += ["features"] if scores.version == 1 else []
        needed += ["fold"] if scores.folds else []
        for name in [*needed, *(["label"] if domain == "mc" else [])]:
            if name not in group:
                raise ValueError(f"no dataset {domain}/{name}")
        for name in set(group) & set(_SHAPES):
            one = group[name]
            if name in _GROUPS and hasattr(one, "shape"):
                raise ValueError(f"{domain}/{name} is no group")
            for part in one.values() if name in _GROUPS else [one]:
                _check_dataset(part, *_SHAPES[name], sizes)
    if scores.has_truth:
        _check_dataset(file[TARGET_LABEL], "N", "iu", {"N": len(file["target/weight"])})


def _check_dataset(dataset: Any, dims: str, kind: str, sizes: dict[str, int]) -> None:
    if not hasattr(dataset, "shape"):
        raise ValueError(f"{dataset.name} is no dataset")
    shape, name = dataset.shape, dataset.name
    if dataset.attrs.get(COMPLEMENT, False):
        shape = (*shape[:-1], shape[-1] + 1) if len(shape) == 3 and shape[-1] == 1 else ()
    fits = len(shape) == len(dims) and all(
        size == sizes.get(dim, size) for dim, size in zip(dims, shape, strict=True)
    )
    if not fits or dataset.dtype.kind not in kind:
        raise ValueError(f"{name} has shape {shape} and type {dataset.dtype}")
    if dims[0] == "K" and not shape[0]:
        raise ValueError(f"{name} is of no network")
    if dims[0] == "n" and not 0 < shape[0] <= sizes["N"]:
        raise ValueError(f"{name} has {shape[0]} rows, and there are {sizes['N']} events")
    if dataset.is_virtual or dataset.external or too_dense(dataset):
        raise ValueError(f"{name} is not in the file")


def too_dense(dataset: Any) -> bool:
    """Whether a dataset takes far more memory than bytes of the file."""
    stored = dataset.id.get_storage_size()
    if dataset.chunks is None:
        return bool(stored < dataset.nbytes)
    return bool(dataset.nbytes > max(_SMALL, _DENSEST * stored))


def _refuse_links(group: Any, depth: int = 4) -> None:
    """Refuse links, which may lead to another file or round in a circle, before one is followed."""
    import h5py

    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink) or not depth:
            raise ValueError(f"{name} is a link")
        if group.get(name, getclass=True) is h5py.Group:
            _refuse_links(group[name], depth - 1)


def _names(value: Any) -> tuple[str, ...]:
    """Names from a JSON list or an array of strings."""
    if isinstance(value, bytes):
        value = value.decode()
    return tuple(str(name) for name in (json.loads(value) if isinstance(value, str) else value))
