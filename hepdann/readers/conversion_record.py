"""How the events of a tensor file were made of files: enough to read further files alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from ..config import (
    ConvertConfig,
    FeatureConfig,
    ImagesConfig,
    ObjectsConfig,
    PicturesConfig,
    SampleConfig,
    SplitConfig,
)
from ..errors import ConfigError, SchemaError
from ..provenance import describe_file
from ..tensors import Tensors
from .planning.earlier_file import feature_settings
from .prescan import FileScan, suggest

_ORDER = {"data": 0, "mc": 1, "template": 2}


class ConvertedFile(BaseModel):
    """A file that events were converted from, and by what it is known again."""

    model_config = ConfigDict(frozen=True)

    path: str
    tree: str | None = None
    size: int | None = None
    sha256: str | None = None
    uuid: str | None = None

    def is_the_file(self, file: FileScan) -> bool:
        """Whether a file is this one, wherever it lies now."""
        if self.uuid and file.uuid:
            return self.uuid == file.uuid
        if file.stamp is None or self.size is None:  # a remote file
            return self.path == file.path
        if self.size != file.stamp[0]:
            return False
        if self.sha256 is not None:
            return bool(describe_file(file.path)["sha256"] == self.sha256)
        return Path(self.path).resolve() == Path(file.path).resolve()


class ConvertedSample(BaseModel):
    """A sample: which entries of its files are its events, and how these are identified."""

    model_config = ConfigDict(frozen=True)

    name: str
    role: Literal["mc", "data", "template"]
    cut: str | None = None
    event_id: list[str]
    files: list[ConvertedFile] = []


class Conversion(BaseModel):
    """What ``hepdann convert`` did, as it is kept with a run.

    Attributes:
        samples: those of the data first, then of MC, then templates.
        features: the inputs in order, with expressions, sentinels and indicators.
        images: what images were made; ``None`` of tables.
        objects: how lists became objects, by name; none of tables.
        pictures: their size and colour; ``None`` of other events.
        split: shares and salt of the splits.
        tree: that most files had.
    """

    model_config = ConfigDict(frozen=True)

    samples: list[ConvertedSample] = Field(min_length=1)
    features: list[FeatureConfig]
    images: ImagesConfig | None
    objects: dict[str, ObjectsConfig] = {}
    pictures: PicturesConfig | None = None
    split: SplitConfig
    tree: str | None

    @classmethod
    def of(cls, tensors: Tensors, data: Tensors | None = None) -> Self:
        """What tensor files say of how they were made.

        Args:
            tensors: holds the MC.
            data: holds the data, if not ``tensors`` itself.

        Raises:
            SchemaError: a file does not say it, because it was made of arrays for example.
        """
        samples = _samples(tensors, () if data is None else ("data",))
        samples += [] if data is None else _samples(data, ("mc", "template"))
        samples.sort(key=lambda sample: _ORDER[sample.role])
        trees = [file.tree for sample in samples for file in sample.files if file.tree]
        convert = _convert(tensors)
        return cls(
            samples=samples,
            features=list(feature_settings(tensors)),
            images=convert.images,
            split=tensors.split_config.model_copy(update={"by": None}),  # of no use to a score
            objects=convert.objects,
            pictures=convert.pictures if _pictures(tensors) else None,
            tree=convert.tree or max(trees, key=trees.count, default=None),
        )

    def samples_of(self, file: FileScan, name: str | None = None) -> list[ConvertedSample]:
        """The samples that take events of a file.

        Args:
            file: one that was converted, or another one.
            name: of the sample that files which were not converted are like; default the data.

        Returns:
            Of a file that was converted its samples; of another one those of the name, without
            their files. Where there are no data, the first sample of MC as if it were data.

        Raises:
            ConfigError: no sample has that name.
        """
        matching = [s for s in self.samples if any(f.is_the_file(file) for f in s.files)]
        if matching:
            return matching
        chosen = [s for s in self.samples if name in (s.name, None)]
        if not chosen:
            known = list(dict.fromkeys(sample.name for sample in self.samples))
            mend = suggest(str(name), known, what="samples")
            raise ConfigError(f"the run has no sample '{name}'", where="--sample", mend=mend)
        if name is None:
            chosen = [s for s in chosen if s.role == "data"][:1] or [
                chosen[0].model_copy(update={"name": "data", "role": "data"})
            ]
        unknown = [sample.model_copy(update={"files": []}) for sample in chosen]
        return list({(sample.cut, sample.role): sample for sample in unknown}.values())


def _pictures(tensors: Tensors) -> bool:
    return any(view.pictures for view in tensors.views)


def _convert(tensors: Tensors) -> ConvertConfig:
    try:
        return ConvertConfig.model_validate(tensors.provenance["settings"]["convert"])
    except (LookupError, TypeError, ValueError) as error:
        raise _unsaid(tensors) from error


def _samples(tensors: Tensors, without: Sequence[str]) -> list[ConvertedSample]:
    """The samples of a tensor file, less those of some roles."""
    try:
        settings = tensors.provenance["settings"]
        inputs = {entry["path"]: entry for entry in tensors.provenance["inputs"]}
        identified = not _pictures(tensors)  # which have identities of their own
        given = [SampleConfig.model_validate(sample) for sample in settings["samples"]]
        listed = settings.get("files") or [_listed(sample, inputs) for sample in given]
        return [
            ConvertedSample(
                name=sample.name,
                role=sample.role,
                cut=sample.cut,
                event_id=settings["event_id"][sample.name] if identified else [],
                files=[
                    ConvertedFile(tree=file["tree"], **_identity(inputs[file["path"]]))
                    for file in files
                ],
            )
            for sample, files in zip(given, listed, strict=True)
            if sample.role not in without
        ]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unsaid(tensors) from error


def _identity(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry.get(key) for key in ("path", "size", "sha256", "uuid")}


def _listed(sample: SampleConfig, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The files of a sample, by their names: older tensor files say no more."""
    patterns = [part.strip() for text in sample.files for part in text.split(",")]
    matching = [
        path
        for path in inputs
        if any(path == p or fnmatchcase(path, p) or p.startswith(f"{path}:") for p in patterns)
    ]
    return [{"path": path, "tree": sample.tree} for path in matching]


def _unsaid(tensors: Tensors) -> SchemaError:
    return SchemaError(
        "does not tell of which files and how it was made",
        where=tensors.path,
        mend="score arrays with run.predict, or train on what hepdann convert made",
    )
