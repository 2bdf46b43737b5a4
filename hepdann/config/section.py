"""What the sections of a configuration share: their base, types of values, checks of names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
)

from ..registry import ALIGNMENTS, SHIFTS
from . import checks

STYLES = ("ATLAS", "CMS", "LHCb", "LHCb2", "ALICE", "DUNE", "ROOT")
FIGURE_SIZES = ("half-slide", "slide", "column", "page")


def t_text(t: float | Iterable[float]) -> str:
    """The t of a shift as text, ``3``; of shifts joined with + those of each, ``3+8``."""
    return "+".join(f"{one:g}" for one in ([t] if isinstance(t, int | float) else t))


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _number_kind(value: Any) -> str:
    return "list" if isinstance(value, list | tuple) else "float"


def long_form(model: str) -> Callable[[Any], str]:
    """Discriminator of a text and the model of that name, which says the same with options."""
    return lambda value: model if isinstance(value, dict | BaseModel) else "str"


def names_matter(info: ValidationInfo) -> bool:
    """Whether unknown names of methods and shifts are refused."""
    return bool((info.context or {}).get("known_names", True))


def check_maps(alignments: list[str]) -> list[str]:
    """Alignments, each known and given once; several may be joined with ``+``."""
    checks.check_unique(alignments, "alignment")
    for name in alignments:
        for one in name.split("+"):
            checks.check_registered(one, ALIGNMENTS)
    return alignments


def check_shifts(name: str, info: ValidationInfo) -> None:
    """Each of the shifts that ``+`` joins is known."""
    for part in name.split("+") if names_matter(info) else ():
        checks.check_registered(part.strip(), SHIFTS)


# strict: pydantic would read true as 1 and '5' as 5
Integer = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Width = Annotated[Integer, Field(ge=1)]
Rate = Annotated[Number, Field(gt=0)]
Rates = Annotated[
    Annotated[Rate, Tag("float")] | Annotated[list[Rate], Field(min_length=1), Tag("list")],
    Discriminator(_number_kind),
]
Quantile = Annotated[Number, Field(gt=0, le=1)]
Quantiles = Annotated[
    Annotated[Quantile, Tag("float")] | Annotated[list[Quantile], Field(min_length=1), Tag("list")],
    Discriminator(_number_kind),
]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], BeforeValidator(_as_list, json_schema_input_type=list[Text] | Text)]


class Section(BaseModel):
    """A part of a configuration: frozen, and without keys that nobody knows."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        allow_inf_nan=False,
        defer_build=True,  # a validator is made when it is needed
    )
