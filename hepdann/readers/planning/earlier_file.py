"""New data as the old ones were converted: what an existing tensor file says about itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...config import ConversionConfig, ConvertConfig, FeatureConfig, SampleConfig
from ...errors import ConfigError, SchemaError
from ...tensors import Tensors
from .branch_roles import looks_like
from .input_samples import check_name

_FREE = {"tree", "block_size", "lumi_mask"}  # where and how to read, and new luminosity


@dataclass(frozen=True)
class Like:
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


def like(
    tensors: Tensors, mc: Sequence[str], data: Sequence[str], config: ConversionConfig
) -> Like:
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
        raise ConfigError(
            "it takes data and no MC" if mc else "no data is given",
            where="--like",
            mend=f"write `hepdann convert --like {tensors.path} DATA -o new.h5`",
        )
    for name in data:
        check_name(name)
    try:
        settings = tensors.provenance["settings"]
        old = ConvertConfig.model_validate(settings["convert"])
        samples = [SampleConfig.model_validate(sample) for sample in settings["samples"]]
        sample = _sample([s for s in samples if s.role == "data"], old, tensors, data)
        ids = settings["event_id"].get(sample.name) or next(iter(settings["event_id"].values()))
        convert = ConvertConfig(
            tree=config.convert.tree or old.tree,
            # none where events are images, or objects alone
            features=list(feature_settings(tensors)) or ([] if old.objects else None),
            images=old.images,
            objects=old.objects,
            spectators=list(tensors.spectators),
            data_weight=old.data_weight,
            event_id=old.event_id or _named(ids),
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
    return Like(whole, label, classes, origin)


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


def feature_settings(tensors: Tensors) -> Sequence[FeatureConfig]:
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


def _named(branches: Sequence[str]) -> list[str] | None:
    """The branches, if they were found by their names and are not all the scalars there were."""
    return list(branches) if all(looks_like(b) == "an event id" for b in branches) else None
