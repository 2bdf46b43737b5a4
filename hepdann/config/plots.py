"""How figures look, and which there are: the section ``plots``."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from ..outputs import LONGEST_NAME, name_fault
from .section import (
    FIGURE_SIZES,
    STYLES,
    Integer,
    Number,
    Section,
    Text,
    Texts,
    check_known,
    check_unique,
    refuse,
)

_MOST_BINS = 10_000


def _pair(value: list[float]) -> list[float]:
    if len(value) != 2 or not value[0] < value[1]:
        refuse("expected two numbers, the smaller one first", mend="write [0, 100]")
    return value


def _rising(value: list[float] | int) -> list[float] | int:
    if isinstance(value, list) and len(value) > _MOST_BINS + 1:
        refuse(f"must be at most {_MOST_BINS + 1} edges", mend="take fewer bins")
    if isinstance(value, list) and any(not a < b for a, b in pairwise(value)):
        refuse("bin edges must rise", mend="or give the number of bins")
    return value


Interval = Annotated[list[Number], Field(min_length=2), AfterValidator(_pair)]


def _file_name(value: str) -> str:
    fault = name_fault(value)
    if fault is not None:
        refuse(f"the name of a figure {fault}", mend="write a name without its folder")
    return value


Bins = Annotated[
    Annotated[Integer, Field(ge=1, le=_MOST_BINS)] | Annotated[list[Number], Field(min_length=2)],
    AfterValidator(_rising),
]
FileName = Annotated[
    str, Field(json_schema_extra={"maxLength": LONGEST_NAME}), AfterValidator(_file_name)
]
Share = Annotated[Number, Field(gt=0, lt=1)]
Domain = Literal["mc", "target"]


class _Figure(Section):
    name: FileName | None = Field(None, description="of its files; default from what it shows")
    title: str | None = Field(None, description="heads the legend")


class _Binned(_Figure):
    label: str | None = Field(None, description="of the axis; default the feature's own title")
    unit: str | None = Field(None, description="default the feature's own")
    bins: Bins | None = Field(None, description="their number, or their edges; default by content")
    range: Interval | None = Field(None, description="of the axis; default by content")
    cut: Text | None = Field(None, description="events shown: a condition")


class DataMCFigure(_Binned):
    """Data over the stack of MC in a variable."""

    kind: Literal["data_mc"] = "data_mc"
    variable: Text = Field(
        description="expression of features, spectators, weight, `score.<method>`, …"
    )
    log: bool | None = Field(None, description="y axis; default where a spike would hide the rest")
    split: Literal["all", "train", "validation", "test"] = "all"
    by: Literal["process", "class"] = Field("process", description="what the stack is made of")
    lower: Literal["ratio", "pull", "none"] = Field("ratio", description="panel below")
    lower_range: Interval | None = Field(None, description="of the panel; default by content")
    flow: Literal["sum", "show", "hide"] = Field(
        "sum", description="what is outside the axis: in the end bins, in bins of its own, or gone"
    )
    blind: Interval | None = Field(None, description="window in which no data are shown")
    tests: list[Literal["chi2", "ks"]] = Field([], description="printed in the corner")
    scale_mc: bool = Field(False, description="MC to the yield of the data")
    weight: Text | None = Field(
        None, description="expression in place of the MC weight; the figure shows before and after"
    )
    alignment: Text | None = Field(
        None, description="map that the target went through; the figure shows before and after"
    )


class ScoresFigure(_Figure):
    """Score of MC classes and target."""

    kind: Literal["scores"]
    methods: Texts | None = Field(None, description="a figure each; default all")
    signal: Text | None = Field(None, description="class whose score; default the last of two")
    bins: Bins = 25
    range: Interval = Field([0.0, 1.0])
    cut: Text | None = Field(None, description="events shown: a condition")
    log: bool | None = Field(None, description="y axis; default where a spike would hide the rest")
    blind: Interval | None = Field(None, description="window in which no data are shown")
    working_points: list[Share] = Field(
        [], description="signal efficiencies whose thresholds are lines"
    )


class ReferencePoint(Section):
    """A working point that somebody published."""

    name: Text
    signal: Share = Field(description="its signal efficiency")
    background: Share = Field(description="its background efficiency")


class RocFigure(_Figure):
    """Background rejection against signal efficiency."""

    kind: Literal["roc"]
    methods: Texts | None = Field(None, description="default all")
    domain: Domain | None = Field(None, description="default both, the target where truth is known")
    signal: Text | None = Field(None, description="class that is signal; default the last of two")
    axes: Literal["rejection", "rates"] = "rejection"
    curves: Texts = Field([], description="further scores: spectators or expressions")
    points: list[ReferencePoint] = Field([])
    working_points: list[Share] = Field([], description="marked on every curve")
    reference: Text | None = Field(None, description="denominator of the ratio panel")
    cut: Text | None = Field(None, description="events counted: a condition")


class EfficiencyFigure(_Binned):
    """Efficiency, mistag rate or rejection against a variable."""

    kind: Literal["efficiency"]
    variable: Text = Field(description="expression of features, spectators, …")
    methods: Texts | None = Field(None, description="default all")
    domain: Domain = "mc"
    shows: Literal["efficiency", "mistag", "rejection"] = "efficiency"
    working_point: Share = Field(0.7, description="signal efficiency")
    threshold: Literal["fixed", "flat", "target"] = Field(
        "fixed",
        description="set on MC: one, or one a bin for a flat efficiency; target: set on the target "
        "so that as large a share of it passes as of MC",
    )


class ConfusionFigure(_Figure):
    """Which class is taken for which."""

    kind: Literal["confusion"]
    methods: Texts | None = Field(None, description="a figure each; default all")
    domain: Domain = "mc"
    normalise: Literal["efficiency", "purity", "log"] = "efficiency"


FigureConfig = DataMCFigure | ScoresFigure | RocFigure | EfficiencyFigure | ConfusionFigure

_KINDS = {
    "data_mc": "DataMCFigure",
    "scores": "ScoresFigure",
    "roc": "RocFigure",
    "efficiency": "EfficiencyFigure",
    "confusion": "ConfusionFigure",
}


def _known_kind(value: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("kind"), str):
        check_known(value["kind"], tuple(_KINDS), "kind of figure", "kind")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "str"
    kind = value.get("kind", "data_mc") if isinstance(value, dict) else getattr(value, "kind", "")
    return _KINDS.get(str(kind), "DataMCFigure")


Figure = Annotated[
    Annotated[
        Annotated[Text, Tag("str")]
        | Annotated[DataMCFigure, Tag("DataMCFigure")]
        | Annotated[ScoresFigure, Tag("ScoresFigure")]
        | Annotated[RocFigure, Tag("RocFigure")]
        | Annotated[EfficiencyFigure, Tag("EfficiencyFigure")]
        | Annotated[ConfusionFigure, Tag("ConfusionFigure")],
        Discriminator(_kind),
    ],
    BeforeValidator(_known_kind),
]


class PlotConfig(Section):
    """How figures look, and which there are."""

    style: str = Field(
        "ROOT",
        description="ATLAS, CMS, LHCb, ALICE, DUNE or ROOT",
        json_schema_extra={"enum": list(STYLES)},
    )
    size: str = Field(
        "half-slide",
        description="half-slide, slide (16:9), column or page (of a paper)",
        json_schema_extra={"enum": list(FIGURE_SIZES)},
    )
    experiment: str | None = Field(None, description="name printed on the figures")
    text: str | None = Field(None, description="e.g. Preliminary; printed only if given")
    lumi: Number | None = Field(None, gt=0, description="in 1/fb; printed only if given")
    com: Number | None = Field(
        None, gt=0, description="centre-of-mass energy in TeV, only if given"
    )
    year: Integer | Text | None = Field(None, description="of data taking; printed only if given")
    formats: list[Literal["pdf", "png", "svg"]] = Field(["pdf", "png"], min_length=1)
    figures: list[Figure] | None = Field(
        None,
        description="what hepdann plot draws: figures, or names as in --only; `default` is what it "
        "draws without a list",
    )

    @field_validator("style")
    @classmethod
    def _known(cls, style: str) -> str:
        check_known(style, STYLES, "style")
        return style

    @field_validator("size")
    @classmethod
    def _known_size(cls, size: str) -> str:
        check_known(size, FIGURE_SIZES, "size")
        return size

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        named = [f.name for f in self.figures or [] if not isinstance(f, str) and f.name]
        check_unique(named, "figure", "figures")
        return self
