"""Schedules of the learning rate and of λ, by name or with their options."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_serializer, model_validator

from .checks import refuse
from .section import Integer, Number, Section, long_form

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


class RateScheduleConfig(_Schedule):
    """How the learning rate changes."""

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


class LambdaScheduleConfig(_Schedule):
    """How λ changes."""

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


RateScheduleSetting = Annotated[
    Annotated[RateName, Tag("str")] | Annotated[RateScheduleConfig, Tag("RateScheduleConfig")],
    Discriminator(long_form("RateScheduleConfig")),
]
LambdaScheduleSetting = Annotated[
    Annotated[LambdaName, Tag("str")]
    | Annotated[LambdaScheduleConfig, Tag("LambdaScheduleConfig")],
    Discriminator(long_form("LambdaScheduleConfig")),
]
