"""Samples, their splits, and what an analysis makes of its events before it trains."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from . import checks
from .section import Integer, Number, Section, Text, Texts


def _product(value: Any) -> Any:
    """A factor, which may be written as arithmetic: ``831.76 * 59830``."""
    if not isinstance(value, str):
        return value
    from ..expressions import parse

    expression = parse(value, what="scale")
    if expression.names:
        name = expression.names[0]
        mend = f"write {name} as a number; a counter of the files is named by sumw"
        checks.refuse(f"{value!r} names {name!r}, and there are only numbers", mend=mend)
    return float(expression.evaluate(lambda name: checks.refuse(name), 1)[0])


Product = Annotated[Number, BeforeValidator(_product, json_schema_input_type=Number | Text)]


class CounterConfig(Section):
    """The tree that counts what was generated; ``scale`` is divided by the sum of its branch."""

    tree: Text = Field("Runs", description="tree of the counter, in every file of the sample")
    branch: Text = Field("genEventSumw", description="branch whose entries add up")


class SampleConfig(Section):
    """One process or file group."""

    name: Text = Field(description="name of the process; samples of one name are one process")
    files: Texts = Field(
        description="paths, globs, path:tree, root:// addresses or .txt file lists; "
        "${HEPDANN_DATA} and other environment variables expand; a relative path starts at the "
        "current directory",
        min_length=1,
    )
    role: Literal["mc", "data", "template"] = Field(
        "mc", description="mc: simulation; data: detector events; template: data-driven background"
    )
    class_: Text | None = Field(
        None, alias="class", description="class of every event; without it, the label decides"
    )
    tree: Text | None = Field(None, description="tree in these files; default convert.tree")
    cut: Text | None = Field(None, description="selection of this sample, in place of convert.cut")
    weight: Text | None = Field(None, description="branch or expression; default convert.weight")
    scale: Product = Field(
        1.0,
        description="factor on every weight, such as 831.76 * 59830 (cross section x luminosity)",
    )
    sumw: CounterConfig | None = Field(
        None, description="counter of the files whose sum scale is divided by"
    )
    title: str | None = Field(None, description="LaTeX title in legends; default the name")
    color: Text | None = Field(None, description="colour in stacks, a name or #rrggbb")


class SplitConfig(Section):
    """Shares of the three splits; an event's split follows from its identity alone."""

    train: Number = Field(0.70, gt=0, lt=1)
    validation: Number = Field(0.15, gt=0, lt=1)
    test: Number = Field(0.15, gt=0, lt=1)
    seed: Integer = Field(0, ge=0, lt=2**64, description="salt of the hash that assigns the split")
    by: Text | None = Field(
        None,
        description="expression of the branches of the event id that assigns it instead, as "
        "event % 5: 0 is test, 1 is validation, all else train",
    )

    @model_validator(mode="after")
    def _sum(self) -> Self:
        checks.check_split(self)
        return self


def _rising(edges: list[float]) -> list[float]:
    if any(low >= high for low, high in pairwise(edges)):
        checks.refuse("edges must rise")
    return edges


Edges = Annotated[list[Number], Field(min_length=2, max_length=1001), AfterValidator(_rising)]


class ReweightConfig(Section):
    """A weight that gives MC the distribution of data, or a class that of another, in bins."""

    name: Text = Field(description="of the reweighting; weights/<name>_off keeps the weight before")
    variables: dict[Text, Edges] = Field(
        min_length=1,
        max_length=2,
        description="one or two features or spectators, each with its bin edges; under- and "
        "overflow and missing values are bins too",
    )
    classes: Texts | None = Field(None, description="that are reweighted; default all of MC")
    to: Text = Field("data", description="data, or the class whose distribution they take")
    clip: Annotated[
        list[Annotated[Number, Field(ge=0)]],
        Field(min_length=2, max_length=2),
        AfterValidator(_rising),
    ] = Field([0.1, 10.0], description="smallest and largest factor")


class VariationConfig(Section):
    """A systematic variation of the features of MC: other branches, or another tree."""

    tree: Text | None = Field(
        None, description="tree of the same files with the shifted events, matched by event id"
    )
    features: dict[Text, Text] = Field(
        {}, description="features by name, with the expression that takes the place of theirs"
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.tree is None and not self.features:
            checks.refuse("changes nothing", mend="name a tree, or features by their expressions")
        return self
