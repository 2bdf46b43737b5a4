"""Schedules of the learning rate and of λ, and the settings of calls as keyword arguments.

:class:`TrainConfig` is what the settings are checked by; a test compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypedDict

from pydantic import Discriminator, Field, Tag, model_serializer, model_validator

from .section import Integer, Number, Section, long_form, refuse

RateName = Literal["cosine", "constant", "step", "inverse", "plateau"]
LambdaName = Literal["ganin", "constant", "linear", "adaptive"]


class _Schedule(Section):
    """A name, and the options that a schedule of this name has; others are refused."""

    options: ClassVar[dict[str, tuple[str, ...]]]
    name: str

    @model_validator(mode="after")
    def _known_options(self) -> Self:
        options = self.options[self.name]
        for key in sorted(self.model_fields_set - {"name", *options}):
            known = f"it has {', '.join(options)}" if options else "it has none"
            refuse(f"no option of the schedule '{self.name}'", key, mend=known)
        return self

    @model_serializer
    def _options_of_name(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in ("name", *self.options[self.name])}


class RateSchedule(_Schedule):
    """How the learning rate changes; p is the step over the planned steps.

    ``constant``; ``cosine`` from the base to 0 (Loshchilov & Hutter, "SGDR", 2016, without
    restarts); ``step``, times ``factor`` after each share ``every`` of the training; ``inverse``,
    (1 + alpha p)^-beta (Ganin et al., JMLR 17 (2016) 59, section 5.2.2); ``plateau``, times
    ``factor`` when ``patience`` epochs brought no better validation loss.
    """

    options: ClassVar[dict[str, tuple[str, ...]]] = {
        "cosine": ("warm_up",),
        "constant": ("warm_up",),
        "step": ("warm_up", "factor", "every"),
        "inverse": ("warm_up", "alpha", "beta"),
        "plateau": ("warm_up", "factor", "patience"),
    }
    name: RateName
    warm_up: Number = Field(
        0.0, ge=0, lt=1, description="share of the training in which the rate rises from 0"
    )
    factor: Number = Field(0.1, gt=0, le=1, description="of step and plateau")
    every: Number = Field(1 / 3, gt=0, le=1, description="step: share of the training to a drop")
    alpha: Number = Field(10.0, ge=0, description="inverse: (1 + alpha p)^-beta, p from 0 to 1")
    beta: Number = Field(0.75, ge=0, description="inverse")
    patience: Integer = Field(3, ge=1, description="plateau: epochs without a better loss")

    def at(self, step: int, total: int) -> float:
        """Factor on the base rate at ``step`` of ``total``, without what ``plateau`` adds."""
        rising = self.warm_up * total
        if step < rising:
            return (step + 1) / (rising + 1)
        p = (step - rising) / (total - rising)
        if self.name == "cosine":
            return 0.5 * (1 + math.cos(math.pi * (step - rising) / (total - rising)))
        if self.name == "step":
            return float(self.factor ** math.floor(p / self.every + 1e-9))
        if self.name == "inverse":
            return float((1 + self.alpha * p) ** -self.beta)
        return 1.0

    def after(self, losses: Sequence[float]) -> float:
        """Further factor of ``plateau`` after the validation losses of the epochs so far."""
        factor, best, waited = 1.0, math.inf, 0
        for loss in losses if self.name == "plateau" else ():
            best, waited = (loss, 0) if loss < best else (best, waited + 1)
            if waited == self.patience:
                factor, waited = factor * self.factor, 0
        return factor


class LambdaSchedule(_Schedule):
    """How λ changes; p is the step over the planned steps.

    ``constant``; ``ganin``, 2 / (1 + exp(-gamma p)) - 1 (Ganin et al. 2016, section 5.2.2);
    ``linear``, p / until up to 1; ``adaptive``, after each epoch times exp(gain · (error - domain
    error)), so that a domain head which is right too often meets a stronger adversary.
    """

    options: ClassVar[dict[str, tuple[str, ...]]] = {
        "ganin": ("gamma",),
        "constant": (),
        "linear": ("until",),
        "adaptive": ("error", "gain", "largest"),
    }
    name: LambdaName
    gamma: Number = Field(10.0, gt=0, description="ganin: 2 / (1 + exp(-gamma p)) - 1")
    until: Number = Field(1.0, gt=0, le=1, description="linear: share of the training to the end")
    error: Number = Field(0.4, gt=0, le=0.5, description="adaptive: wanted domain error")
    gain: Number = Field(3.0, gt=0, description="adaptive: exp(gain (wanted - error)) an epoch")
    largest: Number = Field(100.0, gt=1, description="adaptive: largest factor, and its inverse")

    def at(self, step: int, total: int) -> float:
        """λ_p, the factor on λ at ``step`` of ``total``, without what ``adaptive`` adds."""
        if self.name == "ganin":
            return 2 / (1 + math.exp(-self.gamma * step / total)) - 1
        if self.name == "linear":
            return min(1.0, step / total / self.until)
        return 1.0

    def after(self, errors: Sequence[float]) -> float:
        """Further factor of ``adaptive`` after the domain errors of the epochs so far."""
        factor = 1.0
        for error in errors if self.name == "adaptive" else ():
            factor *= math.exp(self.gain * (self.error - error))
            factor = min(max(factor, 1 / self.largest), self.largest)
        return factor


RateScheduleSetting = Annotated[
    Annotated[RateName, Tag("str")] | Annotated[RateSchedule, Tag("RateSchedule")],
    Discriminator(long_form("RateSchedule")),
]
LambdaScheduleSetting = Annotated[
    Annotated[LambdaName, Tag("str")] | Annotated[LambdaSchedule, Tag("LambdaSchedule")],
    Discriminator(long_form("LambdaSchedule")),
]


class NetworkSettings(TypedDict, total=False):
    """What a training and a scan have in common; ``hepdann config schema`` describes each."""

    adversary: Literal["binary", "per-domain"]
    domain_weight: float
    nuisance: Sequence[str] | None
    nuisance_classes: Sequence[str] | None
    nuisance_weight: float
    object_weight: float
    nuisance_head: Sequence[int]
    adversary_steps: int
    mixtures: Sequence[Mapping[str, Any]] | None
    check_mixtures: bool
    seeds: int
    seed: int
    epochs: int
    batch_size: int | Literal["auto"]
    optimiser: Literal["adam", "adamw", "sgd"]
    learning_rate: float | Sequence[float]
    weight_decay: float
    momentum: float
    head_rate: float
    schedule: RateName | RateSchedule | Mapping[str, Any]
    lambda_schedule: LambdaName | LambdaSchedule | Mapping[str, Any]
    clip: float
    ema: float
    patience: int
    choose: Literal["last", "best"]
    monitor: Literal[
        "validation_loss",
        "validation_accuracy",
        "validation_domain_accuracy",
        "validation_loss_domain",
    ]
    normalisation: Literal["domain", "shared", "layer", "none"] | None
    autocast: Literal["auto", "none", "bf16", "fp16"]
    extractor: Sequence[int]
    label_head: Sequence[int]
    domain_head: Sequence[int]
    activation: Literal["relu", "elu", "gelu", "tanh", "sigmoid"]
    dropout: float
    residual: bool
    device: Literal["auto", "cpu", "cuda", "mps"]
    deterministic: bool
    engine: Literal["auto", "torch", "fused"]
    memory: Literal["auto", "resident", "blocks"]
    workers: int | Literal["auto"]
    tensorboard: bool
    diagnose: bool
    oracle: bool


class TrainSettings(NetworkSettings, total=False):
    """Settings of ``hepdann.train`` beside its arguments."""

    alignments: str | Sequence[str]
    calibration: Mapping[str, Any]
    lambda_: float
    folds: int | None
    augment: Mapping[str, Any] | None


class ScanSettings(NetworkSettings, total=False):
    """Settings of ``hepdann.scan`` beside its arguments."""

    stack: int | Literal["auto"]
    network: str | None
    auxiliary_shifts: Sequence[Mapping[str, Any]] | None
    augment: Mapping[str, Any] | None
