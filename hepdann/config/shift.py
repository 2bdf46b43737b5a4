"""How MC becomes pseudo-data, ``train.shift``, and the grid of a scan, ``scan``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from ..registry import ALIGNMENTS, SHIFTS
from . import checks
from .names import t_text
from .section import (
    Number,
    Quantiles,
    Rates,
    Section,
    Text,
    Texts,
    Width,
    check_maps,
    check_shifts,
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
                checks.refuse(
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
        checks.check_unique(shifts, "shift")
        for name in shifts:
            check_shifts(name, info)
        return shifts

    @field_validator("t", "lambda_")
    @classmethod
    def _once(cls, values: list[float]) -> list[float]:
        checks.check_unique([f"{value:g}" for value in values], "value")
        return values
