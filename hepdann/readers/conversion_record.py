"""How the events of a tensor file were made of files: enough to read further files alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from ..config import (
    ConversionConfig,
    ConvertConfig,
    FeatureConfig,
    ImagesConfig,
    ObjectsConfig,
    PicturesConfig,
    SampleConfig,
    SplitConfig,
)
from ..display import command_line
from ..errors import ConfigError, SchemaError
from ..provenance import describe_file
from ..tensors import Tensors
from .planning.columns import looks_like
from .planning.input_samples import check_name
from .prescan import FileScan, suggest

_ORDER = {"data": 0, "mc": 1, "template": 2}
_FILE = ("path", "size", "sha256", "uuid")  # by what an input file is known again
_FREE = {"tree", "block_size", "lumi_mask"}  # where and how to read, and new luminosity


class ConvertedFile(BaseModel):
    """A file that events were converted from, and by what it is known again."""

    model_config = ConfigDict(frozen=True, defer_build=True)

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

    model_config = ConfigDict(frozen=True, defer_build=True)

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

    model_config = ConfigDict(frozen=True, defer_build=True)

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
            features=list(_feature_settings(tensors)),
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
        chosen = [s for s in self.samples if name in (s.name, None)]
        if not chosen:
            known = list(dict.fromkeys(sample.name for sample in self.samples))
            mend = suggest(str(name), known, what="samples")
            raise ConfigError(f"the run has no sample '{name}'", where="--sample", mend=mend)
        matching = [s for s in self.samples if any(f.is_the_file(file) for f in s.files)]
        if matching:
            return matching
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
                    ConvertedFile(
                        tree=file["tree"], **{key: inputs[file["path"]].get(key) for key in _FILE}
                    )
                    for file in files
                ],
            )
            for sample, files in zip(given, listed, strict=True)
            if sample.role not in without
        ]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unsaid(tensors) from error


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


@dataclass(frozen=True)
class EarlierConversion:
    """What the conversion of new data takes over from a tensor file.

    Attributes:
        config: with the new data as its only sample.
        label: the label of the MC, for a truth file.
        classes: its classes, likewise.
        origin: for the provenance.
    """

    config: ConversionConfig
    label: str | None
    classes: tuple[str, ...]
    origin: dict[str, Any]


def conversion_like(
    tensors: Tensors, mc: Sequence[str], data: Sequence[str], config: ConversionConfig
) -> EarlierConversion:
    """Compose the conversion of ``data`` into the columns of a tensor file.

    Features (with sentinels, indicators, units and the imputed values), spectators, cut, data
    weight, event id and split are those of the file. The sample keeps the name of the file's data,
    so that an event keeps its id and its split.

    Args:
        tensors: what ``hepdann convert`` made.
        mc: must be empty.
        data: files of detector data.
        config: may name the tree, the block size and a lumi mask, and nothing else.

    Raises:
        ConfigError: a setting that the file decides, MC, or no data.
        SchemaError: the file does not tell how it was made, or its data were cut in several ways.
    """
    _refuse_settings(config, tensors)
    if mc or not data:
        what = "it takes data and no MC" if mc else "no data is given"
        line = command_line("convert", "--like", tensors.path, "DATA", "-o", "new.h5")
        raise ConfigError(what, where="--like", mend=f"write `{line}`")
    for name in data:
        check_name(name)
    try:
        settings = tensors.provenance["settings"]
        old = ConvertConfig.model_validate(settings["convert"])
        samples = [SampleConfig.model_validate(sample) for sample in settings["samples"]]
        sample = _sample([s for s in samples if s.role == "data"], old, tensors, data)
        ids = settings["event_id"].get(sample.name) or next(iter(settings["event_id"].values()))
        # else they are all the scalars that there were
        named = list(ids) if all(looks_like(name) == "an event id" for name in ids) else None
        convert = ConvertConfig(
            tree=config.convert.tree or old.tree,
            # none where events are images, or objects alone
            features=list(_feature_settings(tensors)) or ([] if old.objects else None),
            images=old.images,
            objects=old.objects,
            spectators=list(tensors.spectators),
            data_weight=old.data_weight,
            event_id=old.event_id or named,
            lumi_mask=config.convert.lumi_mask or old.lumi_mask,
            drop_duplicates=old.drop_duplicates,
            split=tensors.split_config,
            block_size=config.convert.block_size,
        )
        label, classes = settings["label"], tuple(settings["classes"])
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise SchemaError(
            "does not tell how it was made",
            where=tensors.path,
            mend="convert MC and data again, with one command",
        ) from error
    origin = {"path": str(tensors.path), "created": tensors.provenance.get("created")}
    # copied past the check that a configuration has MC
    whole = ConversionConfig(convert=convert).model_copy(update={"samples": [sample]})
    return EarlierConversion(whole, label, classes, origin)


def _refuse_settings(config: ConversionConfig, tensors: Tensors) -> None:
    given = [
        f"convert.{key}"
        for key, value in ConvertConfig()
        if key not in _FREE and getattr(config.convert, key) != value
    ]
    if config.samples:
        given.insert(0, "samples")
    if given:
        raise ConfigError(
            f"cannot be combined with --like: {tensors.path} decides it",
            where=given[0],
            mend="leave it out, or convert MC and data again",
        )


def _sample(
    old: Sequence[SampleConfig], convert: ConvertConfig, tensors: Tensors, files: Sequence[str]
) -> SampleConfig:
    """The new data under the cut and weight of the file's data."""
    if not old:
        return SampleConfig(name="data", role="data", cut=convert.cut, files=list(files))
    if len({(s.cut, s.weight, s.scale) for s in old}) > 1:
        raise SchemaError(
            f"its data ({', '.join(dict.fromkeys(s.name for s in old))}) have several cuts or "
            "weights, and nothing says which the new data have",
            where=tensors.path,
            mend="write a configuration and convert MC and data again",
        )
    names = dict.fromkeys(s.name for s in old)
    name = next(iter(names)) if len(names) == 1 else "data"
    return old[0].model_copy(update={"name": name, "files": list(files), "tree": None})


def _feature_settings(tensors: Tensors) -> Sequence[FeatureConfig]:
    """The features of a tensor file as settings of a conversion, with the values imputed in it."""
    indicated = {info["indicator_of"] for info in tensors.feature_info if info.get("indicator_of")}
    columns = zip(
        tensors.features, tensors.units, tensors.feature_info, tensors.impute, strict=True
    )
    return [
        FeatureConfig(
            name=name,
            expression=info["expression"],
            missing=info["missing"],
            impute=float(impute),
            indicator=name in indicated,
            unit=unit,
            title=info["title"],
        )
        for name, unit, info, impute in columns
        if not info.get("indicator_of")
    ]
