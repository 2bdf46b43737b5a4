"""The section of a configuration that says how MC becomes pseudo-data."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ..registry import SHIFTS
from . import checks
from .names import t_text
from .section import Quantiles, Rates, Section, Text, names_matter

__all__ = ["ShiftConfig"]


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
        if names_matter(info):
            for part in name.split("+"):
                checks.check_registered(part.strip(), SHIFTS)
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
