"""Settings of a training as keyword arguments, for editors and type checkers.

:class:`TrainConfig` is what they are checked by; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from .schedules import LambdaName, LambdaScheduleConfig, RateName, RateScheduleConfig


class NetworkSettings(TypedDict, total=False):
    """What a training and a scan have in common; ``hepdann config schema`` describes each."""

    adversary: Literal["binary", "per-domain"]
    domain_weight: float
    nuisance: Sequence[str] | None
    nuisance_classes: Sequence[str] | None
    nuisance_weight: float
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
    schedule: RateName | RateScheduleConfig | Mapping[str, Any]
    lambda_schedule: LambdaName | LambdaScheduleConfig | Mapping[str, Any]
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
