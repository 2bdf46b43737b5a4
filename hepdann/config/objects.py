"""Objects of an event, ``convert.objects``."""

from __future__ import annotations

from pydantic import Field, field_validator

from . import checks
from .section import Section, Text, Width

__all__ = ["ObjectsConfig"]


class ObjectsConfig(Section):
    """Objects of one kind, of which an event has any number: jets, tracks, constituents."""

    features: list[Text] | None = Field(
        None,
        min_length=1,
        description="branches of lists, or expressions of such and of what is one number an event; "
        "default the lists of numbers whose names begin with that of the objects, Jet_pt of Jet",
    )
    cut: Text | None = Field(None, description="selection of objects, e.g. jet_pt > 20")
    sort: Text | None = Field(
        None, description="branch or expression that orders the objects; default as in the file"
    )
    descending: bool = Field(True, description="the largest first")
    max: Width = Field(64, description="objects of an event that are kept, the first ones")

    @field_validator("features")
    @classmethod
    def _once(cls, features: list[str] | None) -> list[str] | None:
        checks.check_unique(features or [], "feature")
        return features
