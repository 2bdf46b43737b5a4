"""Reads ``scores.h5`` of a run: scores and weights of MC and target, and where the events are.

Features stand in the tensor file and are read from there; those of pseudo-data, which no tensor
file holds, and the figures of images stand here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..alignment import from_dict
from ..errors import HepdannError, RunError
from ..inputs import check, read_json, regular_file
from ..tensors import SPLITS, Jagged, Split, Target, Tensors, is_pseudo, open_tensors
from ..tensors.blocks import column_at
from ..tensors.hdf5.chunks import h5_open
from .content import Files
from .model_file import ModelHeader, read_header
from .paths import RunPaths, explain_absent
from .scores_file import COMPLEMENT, MOVED, TARGET_LABEL, ScoreFile, names_of

Domain = Literal["mc", "target"]
_OBJECTS = "offsets", "label"


@dataclass(frozen=True, eq=False)
class RunScores(ScoreFile):
    """What a run scored. Holds the description; every method reads from the file."""

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
        values = self.kept(f"{domain}/{name}", lambda: self._column(domain, name))
        if values is None:
            raise RunError(f"no dataset {domain}/{name}", where=self.path)
        return values

    def _column(self, domain: Domain, name: str) -> NDArray[Any] | None:
        values = self._read(f"{domain}/{name}")
        kind, _, rest = name.partition("/")
        if values is None and kind == "score" and rest in self.methods:
            members = self.members(domain, rest)
            values = None if members is None else members.mean(axis=0)
        if values is None and kind == "features":
            values = self.tensor_rows(domain).features()
        if values is None and kind == "aligned" and domain == "target" and rest in self.aligned:
            values = self._mapped(rest)
        return values

    def tensor_rows(self, domain: Domain) -> TensorRows:
        """Where the events of a domain stand in the tensor file of the run.

        Raises:
            RunError: that file is gone, or holds something else by now.
        """
        if domain not in self._rows:
            pseudo = None if self.target_kind == "data" else domain == "target"
            where = "data" if pseudo is None and domain == "target" else "mc"
            with self.opened() as file:
                attrs = file[domain].attrs
                paths = [str(attrs[MOVED])] if MOVED in attrs else []
            self._rows[domain] = tensor_rows(
                self.path.parent,
                where,
                self.column(domain, "event_id"),
                pseudo=pseudo,
                paths=paths,
                rows=self.read(f"{domain}/row"),
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
            whole: NDArray[np.float32] = from_dict(models[0].alignments[alignment]).apply(features)
            return whole
        mapped, fold = np.empty_like(features), self.column("target", "fold")
        for number, model in enumerate(models):
            rows = fold == number
            mapped[rows] = from_dict(model.alignments[alignment]).apply(features[rows])
        return mapped

    def events(self, domain: Domain, aligned: str | None = None) -> Target:
        """Features, weights, ids and splits of a domain, without labels."""
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
        weight = self.read("mc/reference_weight")
        return self.column("mc", "weight") if weight is None else weight

    def score(self, domain: Domain, method: str) -> NDArray[np.floating]:
        """(N, C) class probabilities, the mean over members."""
        return self.column(domain, f"score/{method}")

    def objects(self, method: str) -> dict[str, tuple[Jagged, NDArray[np.floating]]]:
        """By collection the objects of MC with their classes, and (objects, C) probabilities.

        Raises:
            RunError: the file is damaged.
        """
        objects, events = {}, len(self.column("mc", "weight"))
        with self.opened() as file:
            names = tuple(file.get("mc/objects", ()))
        for name in names:
            score = self.read(f"mc/object_scores/{name}/{method}")
            if score is None:  # behind a calibration
                continue
            start, label = (self.column("mc", f"objects/{name}/{n}") for n in _OBJECTS)
            fits = start.shape == (events + 1,) and label.shape == score.shape[:1]
            if not (fits and start[-1] == len(label) and (np.diff(start) >= 0).all()):
                raise RunError(f"is damaged: objects of {name}", where=self.path)
            objects[name] = Jagged(label[:, None], start, {"label": label}), score
        return objects

    def varied(self, method: str, domain: Domain = "mc") -> NDArray[np.floating] | None:
        """(2, N, C) scores with the calibration changed by an error, up and down.

        ``None`` of a method before which MC passes no calibration, and of the target but for a
        parametrised network.
        """
        return self.read(f"{domain}/varied/{method}")

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
        return self.kept(f"members/{domain}/{method}", lambda: self._members(domain, method))

    def _members(self, domain: Domain, method: str) -> NDArray[np.floating] | None:
        name = f"{domain}/members/{method}"
        with self.opened() as file:
            two = name in file and bool(file[name].attrs.get(COMPLEMENT, False))
            members = self._read(name)
        if members is None or not two:
            return members
        return np.concatenate([1 - members, members], axis=-1)

    def domain_score(self, domain: Domain, method: str) -> NDArray[np.floating] | None:
        """(N,) output of the domain head, larger for target; ``None`` without a domain head."""
        return self.read(f"{domain}/domain_score/{method}")

    def latent(self, domain: Domain, method: str) -> NDArray[np.float32] | None:
        """(n, H) output of the feature extractor for n of :meth:`latent_rows`; or ``None``."""
        return self.read(f"{domain}/latent/{method}")

    @cached_property
    def aligned(self) -> tuple[str, ...]:
        """Names of the alignment maps whose features are stored, in the order of the methods."""
        with self.opened() as file:
            target = file["target"]
            stored = tuple(target.get("aligned", ()))
            names = stored if self.version == 1 else names_of(target.attrs["aligned"])
        known = [name for name in self.methods if name in names]
        return (*known, *(name for name in names if name not in known))

    def label(self, domain: Domain) -> NDArray[np.int32] | None:
        """(N,) true class, of the target for ``evaluation`` alone; ``None`` of data."""
        return self.column("mc", "label") if domain == "mc" else self.read(TARGET_LABEL)


def open_scores(path: str | Path) -> RunScores:
    """Open ``scores.h5``, or that of a run folder.

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
            return RunScores.describe(path, file)
        except (KeyError, ValueError, TypeError, OSError, RuntimeError) as error:
            raise RunError(f"is damaged ({error})", where=path, mend="train again") from error


_MEND = "put that file back; what needs scores alone works without it"


@dataclass(frozen=True, eq=False)
class TensorRows:
    """Rows of a domain of a tensor file.

    Attributes:
        rows: (N,) increasing.
    """

    tensors: Tensors
    domain: str
    rows: NDArray[np.int64]

    def features(self) -> NDArray[np.float32]:
        """(N, F) features as the file holds them."""
        return column_at(self.tensors, self.domain, "features", self.rows)

    def entries(self) -> NDArray[np.integer] | None:
        """(N, 2) input file and row in it of each event; ``None`` where the file says none."""
        with self.tensors.read() as file:
            group = file[self.domain]
            return np.asarray(group["entry"][...])[self.rows] if "entry" in group else None


def rows_of_events(
    tensors: Tensors, domain: str, event_id: NDArray[np.uint64], *, pseudo: bool | None
) -> NDArray[np.int64] | None:
    """The rows of events that were chosen by their identity, (N,) in the order of the file.

    ``pseudo`` is the half of the domain that they are from; ``None`` if it is not halved.

    Returns:
        (N,) increasing; ``None`` if the file does not hold these events.
    """
    known, start, parts = np.sort(event_id), 0, [np.empty(0, np.int64)]
    for ids in tensors.tiles(domain, "event_id"):
        # np.isin would sort all of them for each tile
        chosen = known.searchsorted(ids, "right") > known.searchsorted(ids)
        if pseudo is not None:
            chosen &= is_pseudo(ids, tensors.split_config.seed) == pseudo
        parts.append(start + np.flatnonzero(chosen))
        start += len(ids)
    rows = np.concatenate(parts)
    if len(rows) != len(event_id):
        return None
    return rows if _holds(tensors, domain, rows, event_id) else None


def _holds(
    tensors: Tensors, domain: str, rows: NDArray[np.int64], event_id: NDArray[np.uint64]
) -> bool:
    """Whether these rows, which increase, are those events."""
    if len(rows) and (rows[0] < 0 or rows[-1] >= tensors.rows(domain) or (np.diff(rows) < 1).any()):
        return False
    return np.array_equal(column_at(tensors, domain, "event_id", rows), event_id)


def tensor_rows(
    folder: Path,
    domain: str,
    event_id: NDArray[np.uint64],
    *,
    pseudo: bool | None,
    paths: Sequence[str] = (),
    rows: NDArray[np.int64] | None = None,
) -> TensorRows:
    """Where the events of a run stand in its tensor file.

    Raises:
        RunError: the file is gone, or holds something else by now.
    """
    record = RunPaths(folder).start_record
    start = check(read_json(record, Any), Files, record)
    second = domain == "data" and start.data is not None
    path = next((p for p in map(Path, paths) if p.exists()), _started_with(folder, start, domain))
    try:
        tensors = open_tensors(path)
        content = start.content and start.content[-1 if second else 0]
        changed = content is not None and tensors.content_id() != content
        if changed:
            rows = None
        elif rows is None:
            rows = rows_of_events(tensors, domain, event_id, pseudo=pseudo)
        elif not _holds(tensors, domain, rows, event_id):
            rows = None
    except HepdannError as error:
        what = f"the features of the run's events stand in it: {error.message}"
        raise RunError(what, where=path, mend=_MEND) from error
    if rows is None:
        what = "does not hold the events of this run any more: it was replaced or changed"
        raise RunError(what, where=path, mend=_MEND)
    return TensorRows(tensors, domain, rows)


def moved_to(folder: Path, tensors: Tensors, domain: str) -> Path | None:
    """Where a tensor file lies by now that a run did not find where it had begun with it."""
    record = RunPaths(folder).start_record
    if not record.exists():
        return tensors.path
    path = _started_with(folder, check(read_json(record, Any), Files, record), domain)
    return None if path.exists() and path.samefile(tensors.path) else tensors.path


def _started_with(folder: Path, start: Files, domain: str) -> Path:
    """Where the file is that the run began with: there, or in a folder that holds the run's."""
    path = Path(start.data if domain == "data" and start.data is not None else start.tensors)
    if path.exists() or path.is_absolute():
        return path
    places = (parent / path for parent in folder.resolve().parents)
    return next((place for place in places if place.exists()), path)
