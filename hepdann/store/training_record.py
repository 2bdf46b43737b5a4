"""What a run began with and was trained on, so that it can go on and other files can be scored.

``origin.json`` holds the settings and files that fix its numbers, ``conversion.json`` how files
became events and which values their features had, ``trained_events.npy`` which events these were.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..config import Config, TrainConfig, dump_config, load_config, override
from ..display import command_line
from ..errors import ConfigError, HepdannError, RunError, SchemaError
from ..inputs import regular_file
from ..outputs import write_run_file
from ..readers.conversion_record import Conversion
from ..records import Count, Finite, Stored
from ..tensors import SPLITS, Tensors, open_tensors
from .paths import RunPaths, is_scan
from .reading import FORMAT_VERSION, read_versioned, write_json

_ANEW = "train anew"


class StoredStart(Stored):
    """``origin.json``; the configurations are checked by their own models."""

    format_version: int = FORMAT_VERSION
    tensors: Annotated[str, Field(min_length=1)]
    data: str | None
    content: Annotated[list[str], Field(min_length=1, max_length=2)]
    config: dict[str, Any]
    asked: dict[str, Any]
    scale: dict[str, Any] | None


_ELSEWHERE = {"device", "tensorboard", "workers"}  # settings that a resume may change
_LATER = (  # settings that came after the first runs were begun
    "augment", "calibration", "folds", "nuisance", "nuisance_classes", "nuisance_weight",
    "object_weight", "nuisance_head", "adversary_steps", "mixtures", "check_mixtures",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class StartRecord:
    """The beginning of a run, written before the first step and never changed after it.

    Attributes:
        asked: settings of ``train`` as the user gave them, where hepdann was left to choose.
    """

    tensors: Path
    data: Path | None
    config: Config
    asked: TrainConfig
    content: tuple[str, ...]
    scale: Mapping[str, Any] | None = None
    scan: bool = False

    @classmethod
    def of(
        cls,
        files: Sequence[Tensors],
        config: Config,
        asked: TrainConfig,
        scale: Mapping[str, Any] | None = None,
        *,
        scan: bool = False,
    ) -> Self:
        """Describe a run or scan that begins."""
        paths = [file.path for file in files]
        content = tuple(file.content_id() for file in files)
        data = paths[1] if len(paths) > 1 else None
        return cls(paths[0], data, config, asked, content, scale, scan)

    @property
    def fingerprint(self) -> str:
        """Identity of everything that the numbers depend on."""
        train = self.config.train
        defaults = TrainConfig()  # as before there were such settings, where they are not used
        same = {name for name in _LATER if getattr(train, name) == getattr(defaults, name)}
        settings = train.model_dump(mode="json", exclude=_ELSEWHERE | same)
        grid = [self.config.scan.model_dump(mode="json")] if self.scan else []
        text = json.dumps([settings, *grid, self.content], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write ``origin.json``, from which a run can be resumed, and ``config.yaml``."""
        content = {
            "format_version": FORMAT_VERSION,
            "tensors": str(self.tensors),
            "data": None if self.data is None else str(self.data),
            "content": self.content,
            "config": self.config.model_dump(mode="json", by_alias=True),
            "asked": self.asked.model_dump(mode="json", by_alias=True),
            "scale": self.scale,
        }
        write_json(RunPaths(folder).start_record, StoredStart, content)
        write_run_file(RunPaths(folder).config, dump_config(self.config).encode())

    @classmethod
    def read(cls, folder: Path, *, scan: bool = False) -> Self:
        """Read it back.

        Raises:
            RunError: no run, or no scan, of another version, or damaged.
        """
        path, noun = RunPaths(folder).start_record, "scan" if scan else "run"
        if not path.exists():
            what = f"no {noun} to resume" if folder.is_dir() else "no such folder"
            raise RunError(what, where=folder, mend=f"give the folder of a {noun} with -o")
        if is_scan(folder) != scan:
            what, command = ("run, not a scan", "train") if scan else ("scan, not a run", "scan")
            mend = f"go on with: {command_line(command, '--resume', '-o', folder)}"
            raise RunError(f"is a {what}", where=folder, mend=mend)
        if scan and "content" not in read_versioned(path, Stored).to_json():
            what = "the scan was begun by an earlier hepdann, which alone can finish it"
            raise RunError(what, where=folder, mend="scan anew, with another -o")
        stored = read_versioned(path, StoredStart).to_json()
        try:
            config = override(Config(), stored["config"])
            asked = override(Config(), {"train": stored["asked"]}).train
        except ConfigError as error:
            raise RunError(f"is damaged: {error}", where=path, mend="train anew") from error
        data = stored["data"] and Path(stored["data"])
        content, scale = tuple(stored["content"]), stored["scale"]
        return cls(Path(stored["tensors"]), data, config, asked, content, scale, scan)

    def now(self, given: Mapping[str, Any]) -> Config:
        """The settings, with those that a resume may change as they are given on resuming."""
        free = {f"train.{name}" for name in _ELSEWHERE}
        return override(self.config, {key: v for key, v in given.items() if key in free})

    def check_settings(self, folder: Path, given: Mapping[str, Any]) -> None:
        """Whether ``config.yaml`` of a run, and what is given beside it, is what it began with.

        ``given`` are settings by dotted key (``train.epochs``), as a user gives them on resuming.

        Raises:
            RunError: names each setting that differs, with both values.
        """
        path = RunPaths(folder).config
        if path.exists():
            now = load_config(path)
            _refuse(self._differences(now, self.config), path, "put it back")
        asked = Config(train=self.asked, scan=self.config.scan)
        differs = self._differences(override(asked, given), asked)
        resolved = self._differences(override(self.config, given), self.config)
        mend = "resume without it, or start a new run"
        _refuse({key: both for key, both in differs.items() if key in resolved}, folder, mend)

    def _differences(self, now: Config, then: Config) -> dict[str, tuple[Any, Any]]:
        """Settings that differ and that the numbers depend on, by dotted key."""
        differ: dict[str, tuple[Any, Any]] = {}
        for name in ("train", "scan") if self.scan else ("train",):
            sections = (getattr(config, name) for config in (now, then))
            one, two = (_flat(name, s.model_dump(mode="json", by_alias=True)) for s in sections)
            pairs = {key: (one.get(key), two.get(key)) for key in dict.fromkeys([*one, *two])}
            differ |= {key: both for key, both in pairs.items() if both[0] != both[1]}
        free = {f"train.{name}" for name in _ELSEWHERE}
        return {key: both for key, both in differ.items() if key not in free}

    def open_files(
        self, tensors: str | Path | None = None, data: str | Path | None = None
    ) -> tuple[Tensors, Tensors | None]:
        """The tensor file, and that of the data if it is another one, wherever they lie now.

        Raises:
            RunError: names the file whose content differs.
        """
        paths = (tensors or self.tensors, data or self.data)
        files = [open_tensors(path) for path in paths if path is not None]
        self.check_files(files)
        return files[0], files[1] if len(files) > 1 else None

    def check_files(self, files: Sequence[Tensors]) -> None:
        """Refuse files that do not hold what the run began with."""
        if len(files) != len(self.content):
            first = "one tensor file" if len(self.content) == 1 else "a second file with the data"
            raise RunError(
                f"the run began with {first}", where=files[-1].path, mend="resume with the same"
            )
        for file, content in zip(files, self.content, strict=True):
            now = file.content_id()
            if now != content:
                raise RunError(
                    f"is not the file that the run began with: its content is {now}, then it was "
                    f"{content}",
                    where=file.path,
                    mend="resume with that one, or start a new run",
                )


def has_begun(folder: str | Path) -> bool:
    """Whether a folder holds a run that can be resumed."""
    return RunPaths(Path(folder)).start_record.exists()


def given_settings(config: Config, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of ``train`` that a YAML file and flags give."""
    written = config.train.model_dump(by_alias=True, exclude_unset=True)
    given = {f"train.{key}": value for key, value in written.items()}
    return given | {key: value for key, value in flags.items() if value is not None}


def _flat(name: str, value: Any) -> dict[str, Any]:
    """Nested settings by dotted key."""
    if not isinstance(value, dict):
        return {name: value}
    return {k: v for key, inner in value.items() for k, v in _flat(f"{name}.{key}", inner).items()}


def _refuse(differences: Mapping[str, tuple[Any, Any]], where: Path, mend: str) -> None:
    if differences:
        named = ", ".join(
            f"{key} is {json.dumps(now)}, the run began with {json.dumps(then)}"
            for key, (now, then) in differences.items()
        )
        raise RunError(f"not the settings of the run: {named}", where=where, mend=mend)


class StoredConversion(Stored):
    """``conversion.json``."""

    format_version: Literal[1]
    conversion: Conversion | None
    ranges: dict[str, Annotated[list[Finite], Field(min_length=2, max_length=2)]]
    events: Count


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """What a run was trained on.

    Attributes:
        conversion: how files became events; ``None`` where there were no files.
        ranges: smallest and largest value of each feature among the training events.
        events: (n,) uint64, increasing: the identity of each training event.
    """

    conversion: Conversion | None
    ranges: Mapping[str, tuple[float, float]]
    events: NDArray[np.uint64]

    @classmethod
    def of(cls, files: Sequence[Tensors | Path], *, pseudo: bool, folds: bool) -> Self:
        """Compose it of the tensor files of a run, in memory for the identities alone.

        Raises:
            SchemaError: a file cannot be read.
        """
        first, *others = [open_tensors(f.path if isinstance(f, Tensors) else f) for f in files]
        holder = others[0] if others else first
        trained = [(first, "mc"), *([] if pseudo else [(holder, "data")])]
        splits = [SPLITS.index(name) for name in (("train", "test") if folds else ("train",))]
        ids, low, high = [], np.full(len(first.features), np.inf), -np.inf
        for file, domain in trained:
            columns = (file.tiles(domain, name) for name in ("split", "event_id", "features"))
            for split, event_id, features in zip(*columns, strict=True):
                train = np.isin(split, splits)
                ids.append(event_id[train])
                values = features[train]
                low = np.minimum(low, np.nanmin(values, 0, initial=np.inf))
                high = np.maximum(high, np.nanmax(values, 0, initial=-np.inf))
        try:
            conversion = Conversion.of(first, holder if others else None)
        except SchemaError:  # made of arrays
            conversion = None
        known = zip(first.features, low.tolist(), np.broadcast_to(high, low.shape).tolist(),
                    strict=True)  # fmt: skip
        ranges = {name: (a, b) for name, a, b in known if a <= b}
        return cls(conversion, ranges, np.unique(np.concatenate(ids)))

    def write(self, folder: Path) -> None:
        """Keep it with a run."""
        image = io.BytesIO()
        np.save(image, self.events, allow_pickle=False)
        write_run_file(RunPaths(folder).trained_events, image.getbuffer())
        conversion = None if self.conversion is None else self.conversion.model_dump(mode="json")
        content = {
            "format_version": FORMAT_VERSION,
            "conversion": conversion,
            "ranges": {name: list(ends) for name, ends in self.ranges.items()},
            "events": len(self.events),
        }
        write_json(RunPaths(folder).conversion, StoredConversion, content)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Of a run; one of an older version has it no further than its tensor file is there.

        Raises:
            RunError: missing, damaged, or not the tensor file that the run began with.
        """
        path = RunPaths(folder).conversion
        if not path.exists():
            return cls._of_older(folder)
        stored = read_versioned(path, StoredConversion)
        events = _read_events(RunPaths(folder).trained_events, stored.events)
        ranges = {name: (low, high) for name, (low, high) in stored.ranges.items()}
        return cls(stored.conversion, ranges, events)

    @classmethod
    def _of_older(cls, folder: Path) -> Self:
        start_record = StartRecord.read(folder)
        train = start_record.config.train
        try:
            files = [file for file in start_record.open_files() if file is not None]
            return cls.of(files, pseudo=train.shift is not None, folds=train.folds is not None)
        except HepdannError as error:
            raise RunError(
                "was trained by an older version and does not hold how its files were converted, "
                f"and its tensor file cannot say it: {error.message}",
                where=folder,
                mend=f"put {error.where or start_record.tensors} back, or train anew",
            ) from error


def _read_events(path: Path, count: int) -> NDArray[np.uint64]:
    """The identities, left on disk."""
    regular_file(path, RunError)
    try:
        events = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"cannot be read ({error})", where=path, mend=_ANEW) from error
    if events.shape != (count,) or events.dtype != np.uint64 or (events[1:] <= events[:-1]).any():
        raise RunError("is damaged: no list of identities", where=path, mend=_ANEW)
    return np.asarray(events)
