"""Objects of an event, ``convert.objects``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag, field_validator

from . import checks
from .section import Section, Text, Width, long_form

__all__ = ["ObjectsConfig"]


class ObjectFeatureConfig(Section):
    """A number of each object."""

    name: Text = Field(description="in tables and figures")
    expression: Text = Field(description="expression of lists, e.g. log(jet_pt)")


ObjectFeature = Annotated[
    Annotated[Text, Tag("str")] | Annotated[ObjectFeatureConfig, Tag("ObjectFeatureConfig")],
    Discriminator(long_form("ObjectFeatureConfig")),
]


class ObjectsConfig(Section):
    """Objects of one kind, of which an event has any number: jets, tracks, constituents."""

    features: list[ObjectFeature] | None = Field(
        None,
        min_length=1,
        description="branches of lists, or expressions of such and of what is one number an event, "
        "by name or as they are; default the lists of numbers whose names begin with that of the "
        "objects, Jet_pt of Jet",
    )
    cut: Text | None = Field(None, description="selection of objects, e.g. jet_pt > 20")
    sort: Text | None = Field(
        None, description="branch or expression that orders the objects; default as in the file"
    )
    descending: bool = Field(True, description="the largest first")
    max: Width = Field(
        64, le=10_000, description="objects of an event that are kept, the first ones"
    )

    @field_validator("features")
    @classmethod
    def _once(cls, features: list[ObjectFeature] | None) -> list[ObjectFeature] | None:
        names = (one if isinstance(one, str) else one.name for one in features or [])
        checks.check_unique(names, "feature")
        return features

    @property
    def expressions(self) -> dict[str, str]:
        """Feature to expression, in order; empty if not listed."""
        pairs = (
            (f, f) if isinstance(f, str) else (f.name, f.expression) for f in self.features or []
        )
        return dict(pairs)
