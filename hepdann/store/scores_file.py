"""The datasets of ``scores.h5``, written each number once, and checked when they are read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..inputs import Stamp, file_stamp
from ..outputs import write_run_file
from ..tensors import SPLITS, Jagged
from ..tensors.hdf5.chunks import check_datasets, h5_open

if TYPE_CHECKING:
    import h5py


FORMAT = "hepdann-scores"
FORMAT_VERSION = 2  # of version 1 all features, and each score and its mean, stand in the file
MOVED = "tensors"  # of a domain: where its tensor file lay, if the run did not begin with it there
COMPLEMENT = "complement"  # of members: of two classes the first is 1 - the second
TARGET_LABEL = "truth/target/label"  # read by ``evaluation`` alone
_VERSIONS = (1, 2)
_KEPT = 1 << 26  # bytes of columns that stay in memory


@dataclass(frozen=True, eq=False)
class ScoreFile:
    """The description of ``scores.h5``, and its datasets.

    Attributes:
        decisions: names of the reconstructions that decide for a class and give no score.
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

    @classmethod
    def describe(cls, path: Path, file: Any) -> Self:
        """Read the description, and check that each dataset has its shape and type.

        Raises:
            RunError: no scores, of another version, or not complete.
            ValueError: a dataset is missing or another.
        """
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
        check_datasets(file)
        sample = file["mc"].get("sample")
        scores = cls(
            path=path,
            classes=names_of(attrs["classes"]),
            methods=names_of(attrs["methods"]),
            features=names_of(attrs["features"]),
            target_kind=str(attrs["target_kind"]),
            samples=() if sample is None else names_of(sample.attrs["names"]),
            has_truth=TARGET_LABEL in file,
            decisions=tuple(file["mc"].get("decision", ())),
            spectators=tuple(file["mc"].get("spectators", ())),
            version=int(version),
            folds=int(attrs.get("folds", 0)),
        )
        _check(scores, file)
        return scores

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
        with self.opened() as file:
            attrs = file[where].attrs if where in file else {}
            texts = names_of(attrs[attribute]) if attribute in attrs else ()
        return {key: text for key, text in zip(known, texts, strict=False) if text}

    def read(self, path: str) -> NDArray[Any] | None:
        """A dataset, not to be written to; ``None`` if it is not there.

        Raises:
            RunError: the file cannot be read, or holds impossible values.
        """
        return self.kept(path, lambda: self._read(path))

    def _read(self, path: str) -> NDArray[Any] | None:
        with self.opened() as file:
            values = np.asarray(file[path][...]) if path in file else None
        if values is not None and not self._sound(path, values):
            what = f"is damaged: {path} holds impossible values"
            raise RunError(what, where=self.path, mend="train again")
        return values

    def kept(self, name: str, compute: Callable[[], NDArray[Any] | None]) -> NDArray[Any] | None:
        """What was read or computed before, as long as the file is the same and there is room."""
        stamp, columns = file_stamp(self.path), self._columns
        values = columns.get((stamp, name))
        if values is None and (values := compute()) is not None:
            for old in [key for key in list(columns) if key[0] != stamp]:  # other threads add some
                columns.pop(old, None)
            values.flags.writeable = False  # whoever reads it next must find the same
            if values.nbytes + sum(column.nbytes for column in list(columns.values())) <= _KEPT:
                columns[stamp, name] = values
        return values

    @cached_property
    def _columns(self) -> dict[tuple[Stamp | None, str], NDArray[Any]]:
        return {}

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
    def opened(self) -> Iterator[Any]:
        """The file, as a context that names it in errors."""
        try:
            with h5_open(self.path) as file:
                yield file
        except (OSError, KeyError, RuntimeError) as error:  # h5py's names for damage
            raise RunError(f"cannot be read ({error})", where=self.path) from error


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


def _check(scores: ScoreFile, file: Any) -> None:
    """Whether each dataset has the shape and type that everybody relies on."""
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


def names_of(value: Any) -> tuple[str, ...]:
    """Names from a JSON list or an array of strings."""
    if isinstance(value, bytes):
        value = value.decode()
    return tuple(str(name) for name in (json.loads(value) if isinstance(value, str) else value))


_CHUNK = 1 << 16  # rows that are compressed as one


class ScoreWriter:
    """The open file."""

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self._kinds: dict[str, list[str]] = {}

    def group(self, name: str, **columns: NDArray[Any] | None) -> None:
        """Make a domain."""
        self.file.create_group(name)
        for key, values in columns.items():
            if values is not None:
                self._packed(f"{name}/{key}", values)

    def scores(
        self,
        domain: str,
        method: str,
        members: NDArray[np.float32],
        domain_score: NDArray[np.float32] | None,
        latent: NDArray[np.float32],
    ) -> None:
        """Write what a method says of a domain; its mean score follows from its members.

        ``members`` are (K, N, C) class probabilities, ``domain_score`` is (N,), of a domain head of
        its own, ``latent`` (n, H) the feature layer of the first n test events.
        """
        # the first class follows from the second as well as float32 can tell the second
        two = members.shape[-1] == 2 and bool(
            np.all(np.abs(members[..., 0] - (1 - members[..., 1])) <= np.finfo(np.float32).eps)
        )
        kept = members[..., 1:] if two else members
        self._once(f"{domain}/members", method, kept, {COMPLEMENT: two})
        self._once(f"{domain}/latent", method, latent, {})
        if domain_score is not None:
            self._once(f"{domain}/domain_score", method, domain_score, {})

    def varied(self, domain: str, method: str, scores: NDArray[np.float32]) -> None:
        """Write (2, N, C) scores with the calibration changed by an error up, and one down."""
        self._packed(f"{domain}/varied/{method}", scores)

    def objects(
        self, domain: str, collection: str, method: str, part: Jagged, scores: NDArray[np.float32]
    ) -> None:
        """Write (objects, C) probabilities of a collection's objects, and of MC which these are."""
        group = f"{domain}/objects/{collection}"
        if f"{group}/offsets" not in self.file:
            self._packed(f"{group}/offsets", part.start)
            if "label" in part.numbers:
                self._packed(f"{group}/label", part.numbers["label"])
        self._packed(f"{domain}/object_scores/{collection}/{method}", scores)

    def _once(
        self,
        group: str,
        name: str,
        values: NDArray[Any],
        attrs: Mapping[str, Any],
    ) -> None:
        """Write a dataset, or a second name for one of the group that holds the same."""
        for other in self._kinds.setdefault(group, []):
            one = self.file[group][other]
            if dict(one.attrs) == dict(attrs) and np.array_equal(one[...], values):
                self.file[group][name] = one
                return
        one = self._packed(f"{group}/{name}", values)
        one.attrs.update(attrs)
        self._kinds[group].append(name)

    def _packed(self, path: str, values: NDArray[Any]) -> h5py.Dataset:
        """Write a compressed dataset."""
        chunks = tuple(max(1, min(size, _CHUNK)) for size in values.shape)
        chunks = (1, *chunks[1:]) if values.ndim == 3 else chunks  # a member alone
        return self.file.create_dataset(
            path, data=values, chunks=chunks, compression="gzip", shuffle=True
        )


@contextmanager
def writing_scores(path: Path, **attributes: str | Sequence[str]) -> Iterator[ScoreWriter]:
    """Write the scores of a run, whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    import h5py

    image = io.BytesIO()  # HDF5 can crash when its own write meets a full disk; ours cannot
    with h5py.File(image, "w") as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION, **attributes)
        yield ScoreWriter(file)
        file.attrs["complete"] = True
    write_run_file(path, image.getbuffer())
