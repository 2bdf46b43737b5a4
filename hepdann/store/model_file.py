"""Networks and generators as safetensors, whose headers hold all else that scoring needs."""

from __future__ import annotations

import itertools
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import AliasChoices, Field, model_validator
from pydantic_core import from_json

from ..display import command_line
from ..errors import RunError
from ..inputs import check, read_tensors
from ..outputs import write_run_file
from ..records import Finite, Stored
from .paths import GeneratorPaths
from .reading import read_versioned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FORMAT = "hepdann-model"
_KEY = "hepdann"  # of the header, in the metadata of safetensors
_OF_HEADER = "header/"  # begins the names of tensors that stand for long lists of the header
_LONG = 100  # numbers: of a thousand features the knots and matrices of maps are 10⁸ characters
_MEND = "train anew"
Size = Annotated[int, Field(ge=1, le=1 << 24)]
_Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StoredScaling(Stored):
    """Of the features."""

    impute: list[Finite]
    mean: list[Finite]
    std: list[Annotated[Finite, Field(gt=0)]]


class StoredMethod(Stored):
    """The networks of a method."""

    shape: dict[str, Any]  # of hepdann.networks.NetworkShape
    target_domain: Literal[0, 1]
    lambda_: list[Finite] = Field(  # "strength" in models of older versions
        validation_alias=AliasChoices("lambda", "strength"), serialization_alias="lambda"
    )
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=1 << 63)]], Field(min_length=1)]

    @property
    def least_weights(self) -> int:
        """Weights that the networks have at least: those between the hidden layers."""
        parts = [self.shape.get(name, ()) for name in ("extractor", "label_head", "domain_head")]
        if self.shape.get("network"):
            parts = parts[1:]  # another one's
        products = [a * b for widths in parts for a, b in itertools.pairwise(widths)]
        return len(self.seeds) * int(sum(products) + sum(map(sum, parts)))


class StoredMixture(Stored):
    """A prediction that is made of others."""

    parts: Annotated[list[str], Field(min_length=1)]
    offsets: list[list[Finite]]
    weights: list[Annotated[Finite, Field(gt=0)]] = Field(default=[])


class ModelHeader(Stored):
    """The header of ``model.safetensors``."""

    format: Literal["hepdann-model"] = "hepdann-model"
    format_version: Literal[1] = 1
    hepdann: str = ""
    features: list[str]
    classes: Annotated[list[str], Field(min_length=1)]
    scaling: StoredScaling
    alignments: dict[str, dict[str, Any]] = Field(default={})
    calibrations: dict[str, dict[str, Any]] = Field(default={})  # of hepdann.calibration
    correction: list[Finite] | None = None
    views: list[Annotated[tuple[str, int, int, int], Field(strict=False)]] = Field(default=[])
    objects: list[Annotated[tuple[str, int, int], Field(strict=False)]] = Field(default=[])
    missing: dict[str, Finite] = Field(default={})  # older models know no sentinels
    indicators: dict[str, str] = Field(default={})
    methods: dict[str, StoredMethod]
    mixtures: dict[str, StoredMixture] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _one_map(cls, header: Any) -> Any:
        """Models of older versions hold one alignment."""
        if isinstance(header, dict) and "alignments" not in header and "quantile" in header:
            return header | {"alignments": {"quantile": header["quantile"]}}
        return header

    @model_validator(mode="after")
    def _parts_exist(self) -> Self:
        """A mixture is made of what stands before it, so that none is made of itself."""
        known = {*self.methods, *self.alignments}
        for name, mixture in self.mixtures.items():
            unknown = [part for part in mixture.parts if part not in known]
            if unknown:
                raise ValueError(f"mixtures.{name}: {unknown[0]!r} is no method before it")
            if not len(mixture.parts) == len(mixture.offsets):
                raise ValueError(f"mixtures.{name}: one row of offsets is needed for each part")
            if mixture.weights and len(mixture.weights) != len(mixture.parts):
                raise ValueError(f"mixtures.{name}: one weight is needed for each part")
            known.add(name)
        return self


class CrossFitHeader(Stored):
    """The header of ``model.safetensors`` of a run in folds.

    Its version is another one, so that nobody takes one fold for the whole.
    """

    format: Literal["hepdann-model"] = "hepdann-model"
    format_version: Literal[2] = 2
    hepdann: str = ""
    salt: Annotated[int, Field(ge=0, lt=1 << 64)]
    folds: Annotated[list[ModelHeader], Field(min_length=2, max_length=254)]

    @model_validator(mode="after")
    def _folds_agree(self) -> Self:
        """Folds differ in their numbers alone."""
        first = _described(self.folds[0])
        if any(_described(fold) != first for fold in self.folds[1:]):
            raise ValueError("folds: they have other features, classes or methods")
        return self


def _described(header: ModelHeader) -> tuple[Any, ...]:
    members = {name: len(method.seeds) for name, method in header.methods.items()}
    mixtures = {name: mixture.parts for name, mixture in header.mixtures.items()}
    maps = sorted(header.alignments), sorted(header.calibrations)
    names = (header.features, header.classes, header.views, header.objects, *maps)
    return (*names, header.missing, header.indicators, members, mixtures)


Header = ModelHeader | CrossFitHeader


def fold_prefix(fold: int) -> str:
    """Begins the names of the tensors of a fold."""
    return f"fold-{fold}/"


def write_model(path: Path, header: Header, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write a model: a header of all that is no weight, and the weights of each method.

    These are named ``<method>.<name of the parameter>``, those of folds behind
    :func:`fold_prefix`.
    """
    from safetensors.numpy import save

    long: dict[str, NDArray[Any]] = {}
    content = _without_long_lists(header.model_dump(mode="json", by_alias=True), long)
    contiguous = {key: np.asarray(value, order="C") for key, value in {**tensors, **long}.items()}
    write_run_file(path, save(contiguous, metadata={_KEY: json.dumps(content)}))


def _without_long_lists(value: Any, long: dict[str, NDArray[Any]]) -> Any:
    """The header with the name of a tensor, which is added, in place of every long list."""
    if isinstance(value, dict):
        return {key: _without_long_lists(one, long) for key, one in value.items()}
    if not isinstance(value, list):
        return value
    with suppress(ValueError):  # rows of different lengths
        array = np.asarray(value)
        if array.size > _LONG and array.dtype == np.float64:
            name = f"{_OF_HEADER}{len(long)}"
            long[name] = array
            return {_OF_HEADER: name}
    return [_without_long_lists(one, long) for one in value]


def _with_long_lists(value: Any, long: Mapping[str, NDArray[Any]]) -> Any:
    """The header as it was before :func:`_without_long_lists`."""
    if isinstance(value, dict):
        name = value.get(_OF_HEADER)
        if isinstance(name, str) and name.startswith(_OF_HEADER):
            return long[name].tolist()
        return {key: _with_long_lists(one, long) for key, one in value.items()}
    return [_with_long_lists(one, long) for one in value] if isinstance(value, list) else value


def read_header(path: Path) -> Header:
    """All that is no weight; these are not read.

    Raises:
        RunError: as :func:`read_model`.
    """
    return _header(path, *read_tensors(path, prefix=_OF_HEADER, framework="numpy"))


def read_model(path: Path) -> tuple[Header, dict[str, NDArray[Any]]]:
    """Header and weights, all of them finite.

    Raises:
        RunError: missing, damaged, or of another version.
    """
    texts, tensors = read_tensors(path, framework="numpy")
    header = _header(path, texts, tensors)
    tensors = {k: v for k, v in tensors.items() if not k.startswith(_OF_HEADER)}
    broken = [key for key, value in tensors.items() if not np.isfinite(value).all()]
    if broken:
        what = f"is damaged: {broken[0]} holds numbers that are not finite"
        raise RunError(what, where=path, mend=_MEND)
    return header, tensors


def _header(path: Path, texts: Mapping[str, str], tensors: Mapping[str, NDArray[Any]]) -> Header:
    try:
        header = from_json(texts.get(_KEY, "{}"))  # several times as fast as json, same numbers
        header = _with_long_lists(header, tensors)
    except (ValueError, LookupError, TypeError) as error:
        raise RunError(f"is damaged: {error}", where=path, mend=_MEND) from error
    content = header if isinstance(header, dict) else {}
    version = content.get("format_version")
    if content.get("format") != FORMAT or version not in (1, 2):
        raise RunError(
            "not a model of this version", where=path, mend="train anew with this version"
        )
    if version == 1:
        return check(header, ModelHeader, path)
    return check(header, CrossFitHeader, path)


class GeneratorSettings(Stored):
    """How a generator is trained; every value stands in the folder of its run.

    Attributes:
        conditions: columns that are asked for; of showers the energy first. The class always is.
        objective: ``wgan-gp``, or ``gan``: the non-saturating loss of DCGAN.
        steps: of the generator.
        critic_steps: of the critic before each of them.
        batch_size: events a step.
        penalty: factor on the gradient penalty.
        learning_rate: of Adam, falling to a twentieth as a cosine.
        momentum: Adam's first β; the second is 0.9, or 0.999 of ``gan``.
        average: of the weights of the generator that draws, a step.
        hidden: widths of both networks; of pictures maps, the smallest picture first.
        latent: random numbers that an event is made of.
        seed: of all that is drawn at random.
    """

    conditions: list[str] = Field(default=[])
    objective: Literal["wgan-gp", "gan"] = "wgan-gp"
    steps: Size = 4000
    critic_steps: Size = 5
    batch_size: Size = 128
    penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    learning_rate: _Rate = 1e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.999
    hidden: Annotated[list[Size], Field(min_length=1)] = Field(default=[128, 128, 128])
    latent: Size = 16
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0


class GeneratorRecord(Stored):
    """``generator.json``: what a training began with."""

    format_version: int = 1
    tensors: str
    content: str
    settings: GeneratorSettings


class Pair(Stored):
    """A figure of simulated events, a value a bin, and of what was drawn for their conditions."""

    events: list[Finite]
    drawn: list[Finite]


class Matrices(Stored):
    """Likewise a matrix of each."""

    events: list[list[Finite]]
    drawn: list[list[Finite]]


class Shape(Pair):
    """Showers in bins of one number of a shower."""

    edges: list[Finite]


class ShowerReport(Stored):
    """Showers that a generator drew, against others of the same energies and particles.

    Attributes:
        energy: (B + 1,) edges of bins of the energy.
        response: (B,) mean sums of the cells over the energy.
        resolution: (B,) half widths of the middle 68.3 % of it over its mean, which a few showers
            that leak do not move as they move a standard deviation.
        along: (layers,) mean shares of the layers.
        across: (strips,) mean shares of the strips.
        correlation: (layers, layers) correlations of the energies of layers over E.
        shapes: by name the distribution of one number of a shower.
        ks: Kolmogorov distances: of the mean profiles ``along`` and ``across``, and of each of the
            ``shapes``.
        auc: held-out AUC of a classifier between the two, of the shapes and of the cells.
        worst_response: largest deviation of the response from the simulation's, as a part of it.
        worst_resolution: likewise of the resolution.
    """

    energy: list[Finite]
    response: Pair
    resolution: Pair
    along: Pair
    across: Pair
    correlation: Matrices
    shapes: dict[str, Shape] = Field(default={})
    ks: dict[str, Finite]
    auc: dict[str, Finite]
    worst_response: Finite
    worst_resolution: Finite


class Validation(Stored):
    """``validation.json``: a generator against events that it was not trained on.

    Attributes:
        auc: held-out AUC of a classifier between both, by what it is given.
        rate: events a second of processor time that were drawn.
        showers: of pictures there is none.
    """

    format_version: int = 1
    auc: dict[str, Finite]
    rate: Finite
    showers: ShowerReport | None = None

    @property
    def lines(self) -> list[str]:
        """What was measured, a line each."""
        lines = [f"{self.rate:,.0f} events/s drawn on one core; held-out AUC of a classifier: "
                 + ", ".join(f"{key} {value:.3f}" for key, value in self.auc.items())]  # fmt: skip
        if self.showers is not None:
            one = self.showers
            lines.append(
                f"mean response within {one.worst_response:.1%}, resolution within "
                f"{one.worst_resolution:.0%} of the simulation in {len(one.energy) - 1} bins of "
                "energy"
            )
            distances = ", ".join(f"{k} {v:.3f}" for k, v in one.ks.items())
            lines.append(f"Kolmogorov distances: {distances}")
        return lines


@dataclass(frozen=True)
class GeneratorFolder:
    """A generator that was trained and judged.

    Attributes:
        folder: of its training.
        record: what this began with.
        validation: how it was judged.
    """

    folder: Path
    record: GeneratorRecord
    validation: Validation


def is_generator(folder: str | Path) -> bool:
    """Whether a folder holds a generator, finished or not."""
    return GeneratorPaths(Path(folder)).record.is_file()


def read_record(folder: str | Path) -> GeneratorRecord:
    """What the training of a folder began with.

    Raises:
        RunError: no generator, or damaged.
    """
    if not is_generator(folder):
        raise RunError(
            "no generator is here", where=folder, mend="they are made by hepdann generate train"
        )
    return read_versioned(GeneratorPaths(Path(folder)).record, GeneratorRecord)


def open_folder(folder: str | Path) -> GeneratorFolder:
    """A generator's folder.

    Raises:
        RunError: no generator, it is not trained and judged to the end, or damaged.
    """
    record, paths = read_record(folder), GeneratorPaths(Path(folder))
    if not paths.validation.is_file():
        raise unfinished(folder)
    return GeneratorFolder(paths.folder, record, read_versioned(paths.validation, Validation))


def unfinished(folder: str | Path) -> RunError:
    """The error that says how a training is ended."""
    mend = f"go on with: {command_line('generate', 'train', '--resume', '-o', folder)}"
    return RunError("its training has not finished", where=folder, mend=mend)
