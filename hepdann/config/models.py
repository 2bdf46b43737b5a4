"""The sections ``train`` and ``scan``, and the whole configuration.

A setting that is wrong by itself is refused by its type here; a combination that makes no sense
by :mod:`hepdann.config.section`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from ..registry import ALIGNMENTS, CALIBRATED, METHODS, NETWORKS, SHIFTS
from .plots import PlotConfig
from .samples import AugmentConfig, ConversionConfig
from .schedules import LambdaScheduleSetting, RateScheduleSetting
from .section import (
    Integer,
    Number,
    Quantiles,
    Rates,
    Section,
    Text,
    Texts,
    Width,
    check_calibrated,
    check_maps,
    check_registered,
    check_shifts,
    check_unique,
    names_matter,
    refuse,
    t_text,
)


class ShiftConfig(Section):
    """Which f_i(t) turns MC into pseudo-data."""

    name: Text = Field(
        description="name of the shift, see hepdann train --help; several join with +",
        json_schema_extra={"examples": list(SHIFTS.own)},
    )
    t: Rates = Field(description="t: larger is a smaller shift; a list: of each that + joins")
    quantile: Quantiles = Field(
        1.0, description="scale s as this quantile of |x| (1: the maximum); a list: of each"
    )

    @model_validator(mode="before")
    @classmethod
    def _identity_has_no_t(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("name") == "identity":
            return {"t": 1.0} | values
        return values

    @field_validator("name")
    @classmethod
    def _known(cls, name: str, info: ValidationInfo) -> str:
        check_shifts(name, info)
        return name

    @model_validator(mode="after")
    def _one_for_each(self) -> Self:
        for key in ("t", "quantile"):
            value, parts = getattr(self, key), len(self.name.split("+"))
            if isinstance(value, list) and len(value) != parts:
                refuse(
                    f"{len(value)} values for the {parts} shifts of {self.name}",
                    key,
                    mend="give one for all, or one for each",
                )
        return self

    @property
    def t_text(self) -> str:
        """The value of t as text, see :func:`.t_text`."""
        return t_text(self.t)


class ScanConfig(Section):
    """The grid of a scan; methods, seeds and all else are those of ``train``."""

    shifts: Texts = Field([], description="make pseudo-data, each at every t; none: the data")
    t: list[Annotated[Number, Field(gt=0)]] = Field([1, 2, 3, 5, 8], min_length=1)
    lambda_: list[Annotated[Number, Field(ge=0)]] = Field(
        [0.1, 0.3, 1, 3],
        min_length=1,
        alias="lambda",
        description="factors of the reversed domain gradient",
    )
    alignments: Annotated[Texts, AfterValidator(check_maps)] = Field(
        ["quantile"],
        description="maps of the target onto the MC, each scored by source-only's networks at "
        "every target; joined with + they act one after the other",
        json_schema_extra={"examples": [list(ALIGNMENTS.own)]},
    )
    stack: Width | Literal["auto"] = Field(
        "auto", description="members that train side by side; auto: as many as suit the cache"
    )

    @field_validator("shifts")
    @classmethod
    def _known(cls, shifts: list[str], info: ValidationInfo) -> list[str]:
        check_unique(shifts, "shift")
        for name in shifts:
            check_shifts(name, info)
        return shifts

    @field_validator("t", "lambda_")
    @classmethod
    def _once(cls, values: list[float]) -> list[float]:
        check_unique([f"{value:g}" for value in values], "value")
        return values


class MixtureConfig(Section):
    """A sample within the target; an event is of the first whose condition it passes."""

    cut: Text = Field(description="condition of columns of the target")
    fraction: Number | None = Field(
        None, ge=0, le=1, description="of the last class in it, if it is known (for llp)"
    )


class CalibrationConfig(Section):
    """The maps MC → target whose MC the methods ``calibrated`` and ``calibrated+…`` train on."""

    families: Texts | None = Field(
        None,
        min_length=1,
        description="shifts, scale, offset or smear as hepdann calibrate --family takes them, free;"
        " default all shifts, and free; of pseudo-data without the shift that made them",
    )
    hold_fractions: bool = Field(False, description="keep the class fractions of MC")


class TrainConfig(Section):
    """One training: methods x seeds, side by side."""

    methods: Texts = Field(
        ["dann"],
        min_length=1,
        description="adversarial methods, also alignment+method (quantile+dann) on an aligned "
        "target, and calibrated+method on calibrated MC; baselines are always trained beside them",
        json_schema_extra={"examples": [list(METHODS.own)]},
    )
    alignments: Annotated[Texts, AfterValidator(check_maps)] = Field(
        ["quantile", "affine+quantile"],
        description="maps of the target onto the MC, each scored by source-only's networks; "
        "joined with + they act one after the other",
        json_schema_extra={"examples": [list(ALIGNMENTS.own)]},
    )
    calibration: CalibrationConfig = CalibrationConfig.model_construct()
    shift: ShiftConfig | None = Field(None, description="pseudo-data; default the data domain")
    auxiliary_shifts: list[ShiftConfig] | None = Field(
        None,
        min_length=1,
        description="shifts of the labelled copies of the MC that hybrid methods train on; default "
        "sine-third and sine-fifth at the t of the shift; with data as target they must be named",
    )
    adversary: Literal["binary", "per-domain"] = Field(
        "binary",
        description="of hybrid methods: labelled or target, or which of the domains",
    )
    lambda_: Number = Field(
        1.0, ge=0, alias="lambda", description="factor of the reversed domain gradient"
    )
    domain_weight: Number = Field(1.0, ge=0, description="w_d, weight of the domain loss")
    nuisance: Texts | None = Field(
        None,
        min_length=1,
        description="columns, or expressions of columns, of the MC that decorrelating methods "
        "(pivot, disco, planing) make the score independent of; whole numbers of at most 20 values "
        "are categories",
    )
    nuisance_classes: Texts | None = Field(
        None, min_length=1, description="classes whose events count in that; default all"
    )
    object_weight: Number = Field(
        1.0, ge=0, description="of the loss of objects that have classes; 0 trains no head for them"
    )
    nuisance_weight: Number = Field(
        10.0, ge=0, description="factor on lambda in the term of the nuisance"
    )
    nuisance_head: list[Width] = Field(
        [32, 32], description="hidden widths of the adversary of pivot"
    )
    adversary_steps: Integer = Field(
        1, ge=1, description="of alternating methods: steps of the adversary for one of the network"
    )
    check_mixtures: bool = Field(
        True, description="cwola refuses mixtures that a two-sample test does not distinguish"
    )
    mixtures: list[MixtureConfig] | None = Field(
        None,
        min_length=2,
        description="samples within the target that cwola and llp train on, by a condition each",
    )
    seeds: Integer = Field(5, ge=1, le=1000, description="members a method")
    seed: Integer = Field(0, ge=0, description="seed of the first member")
    folds: Integer | None = Field(
        None,
        ge=2,
        le=100,
        description="cross-fitting: train as many times, each without one part of the events, "
        "which is scored by the networks that did not see it; default none",
    )
    epochs: Integer = Field(20, ge=1, le=100_000)
    batch_size: Width | Literal["auto"] = Field(
        "auto", description="events of each domain a step; auto: about 100 steps an epoch, 128-4096"
    )
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Rates = Field(
        2e-3, description="before the schedule acts; several: the seeds of each method in turn"
    )
    weight_decay: Number = Field(0.0, ge=0, description="of the optimiser, on every parameter")
    momentum: Number = Field(0.9, ge=0, lt=1, description="of sgd")
    head_rate: Number = Field(
        1.0, gt=0, description="learning rate of both heads over that of the extractor"
    )
    schedule: RateScheduleSetting = Field(
        "cosine", description="learning rate: cosine, constant, step, inverse, plateau"
    )
    lambda_schedule: LambdaScheduleSetting = Field(
        "ganin", description="of lambda: ganin, constant, linear, adaptive"
    )
    clip: Number = Field(10.0, gt=0, description="largest gradient norm of each part of a network")
    ema: Number = Field(0.995, ge=0, lt=1, description="averaging of the weights; 0: none")
    patience: Integer = Field(
        0, ge=0, description="epochs without a better monitor after which a member stops; 0: never"
    )
    choose: Literal["last", "best"] = Field(
        "last", description="epoch whose weights are used: the last, or the best by monitor"
    )
    monitor: Literal[
        "validation_loss",
        "validation_accuracy",
        "validation_domain_accuracy",
        "validation_loss_domain",
    ] = Field("validation_loss", description="label-free figure of the history")
    normalisation: Literal["domain", "shared", "layer", "none"] | None = Field(
        None,
        description="in the extractor: batch normalisation that sees each domain by itself or "
        "both (shared), layer normalisation, or none; default the method's own: domain for dann, "
        "none for dann-alternating",
    )
    network: Text | None = Field(
        None,
        description=f"{', '.join(NETWORKS.own)}, "
        "or a registered one; default the perceptron below, of images of hits minerva-small, of "
        "pictures ganin-mnist, of objects deepsets",
    )
    autocast: Literal["auto", "none", "bf16", "fp16"] = Field(
        "none",
        description="of a network of images: bf16 computes in bfloat16 where that is safe, fp16 in "
        "float16 with scaled losses, for GPUs without bfloat16; auto is bf16 where the processor "
        "or GPU multiplies it",
    )
    augment: AugmentConfig | None = Field(None, description="of images; default none")
    extractor: list[Width] = Field([32, 32], min_length=1, description="widths of the extractor")
    label_head: list[Width] = Field([16], description="hidden widths of the label head")
    domain_head: list[Width] = Field([64, 64], description="hidden widths of the domain head")
    activation: Literal["relu", "elu", "gelu", "tanh", "sigmoid"] = Field(
        "relu", description="behind every hidden layer"
    )
    dropout: Number = Field(
        0.0, ge=0, lt=1, description="share of hidden activations dropped in training"
    )
    residual: bool = Field(
        False, description="hidden layers add their input, where the widths agree"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    deterministic: bool = Field(
        False, description="use algorithms alone that give the same bits every time, also on a GPU"
    )
    engine: Literal["auto", "torch", "fused"] = Field(
        "auto",
        description="what executes a step; fused: compiled code for the CPU, several times as fast "
        "and the same within rounding, for dann and source-only with ReLU and adam; auto: fused "
        "where it can",
    )
    memory: Literal["auto", "resident", "blocks"] = Field(
        "auto",
        description="events all in memory, or read in blocks of the file with block-wise shuffling;"
        " auto: by what there is",
    )
    workers: Width | Literal["auto"] = Field(
        1,
        description="processes that share the members, one thread each; auto: stacks side by side, "
        "on as many cores as are free, where it pays",
    )
    tensorboard: bool = Field(False, description="write TensorBoard event files into the run")
    diagnose: bool = Field(
        True,
        description="ask first whether MC and target differ; without it the class fractions "
        "of the target are taken to be those of the MC",
    )
    oracle: bool = Field(True, description="train the oracle where the truth is known")

    @property
    def rates(self) -> tuple[float, ...]:
        """Learning rates; the k-th seed of a method has the k-th, and so on from the first."""
        rates = self.learning_rate
        return (rates,) if isinstance(rates, float) else tuple(rates)

    @property
    def shares(self) -> int:
        """Shares that the members are cut into; auto leaves the stacks whole."""
        return 1 if self.workers == "auto" else self.workers

    @property
    def members(self) -> int:
        """Networks that train at most, baselines and oracle included."""
        return self.seeds * (len({"source-only", *self.methods}) + self.oracle)

    @field_validator("methods")
    @classmethod
    def _known(cls, methods: list[str], info: ValidationInfo) -> list[str]:
        check_unique(methods, "method")
        for name in methods if names_matter(info) else ():
            *maps, method = name.split("+")
            check_registered(method, METHODS)
            if maps and maps[0] in CALIBRATED:
                check_calibrated(name)
                continue
            for part in maps:
                check_registered(part, ALIGNMENTS)
        return methods


class Config(ConversionConfig):
    """A whole configuration file."""

    train: TrainConfig = TrainConfig.model_construct()
    scan: ScanConfig = ScanConfig.model_construct()
    plots: PlotConfig = PlotConfig.model_construct()
