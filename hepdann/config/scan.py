"""The section of a configuration that says what a scan goes through."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from ..registry import ALIGNMENTS, SHIFTS
from . import checks
from .section import Number, Section, Texts, Width, check_maps, names_matter

__all__ = ["ScanConfig"]


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
    alignments: Texts = Field(
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
        for name in shifts if names_matter(info) else ():
            for part in name.split("+"):
                checks.check_registered(part.strip(), SHIFTS)
        return shifts

    @field_validator("alignments")
    @classmethod
    def _known_maps(cls, alignments: list[str]) -> list[str]:
        return check_maps(alignments)

    @field_validator("t", "lambda_")
    @classmethod
    def _once(cls, values: list[float]) -> list[float]:
        checks.check_unique([f"{value:g}" for value in values], "value")
        return values
