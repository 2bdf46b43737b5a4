"""How images and lists of objects are made of the files, ``convert``, and trained on, ``train``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from . import checks
from .section import Integer, Number, Section, Text, Width, long_form

Side = Annotated[Integer, Field(ge=1, le=1024)]


class TransformConfig(Section):
    """Pixels of one channel: scale x f(clip(x)); those without a hit stay 0."""

    clip: tuple[Number, Number] | None = Field(None, description="smallest and largest value")
    log: bool = Field(False, description="f is sign(x) log(1 + |x|)")
    scale: Number = Field(1.0, description="factor")

    @field_validator("clip")
    @classmethod
    def _ordered(cls, clip: tuple[float, float] | None) -> tuple[float, float] | None:
        if clip is not None and clip[0] >= clip[1]:
            checks.refuse(f"clips at {clip[0]:g} and {clip[1]:g}", mend="the smaller one first")
        return clip


class HitsConfig(Section):
    """Jagged branches of a tree of hits."""

    view: Text = Field("hit_view", description="0 is X, 1 is U, 2 is V")
    plane: Text = Field("hit_plane", description="counted inside the view's image")
    module: Text = Field("hit_module", description="where there is no plane")
    strip: Text = "hit_strip"
    energy: Text = "hit_energy"
    time: Text = "hit_time"


class ImagesConfig(Section):
    """Images of the X, U and V views."""

    size: tuple[Width, Width, Annotated[Integer, Field(ge=0)]] | None = Field(
        None, description="strips, planes of X, planes of U and V (of hits 0: X alone); default "
        "as the files have them, of hits 127, 50, 25 or 127, 94, 47"
    )  # fmt: skip
    channels: list[Literal["energy", "time"]] | None = Field(
        None, min_length=1, description="default those that all views have"
    )
    energy: TransformConfig = TransformConfig()
    time: TransformConfig = TransformConfig()
    datasets: dict[Literal["x", "u", "v"], Text] = Field(
        {}, description="of HDF5 files with names other than hits-x, times-x, hitimes-x"
    )
    hits: HitsConfig = HitsConfig()

    @field_validator("channels")
    @classmethod
    def _once(cls, channels: list[str] | None) -> list[str] | None:
        checks.check_unique(channels or [], "channel")
        return channels


class PicturesConfig(Section):
    """Pictures that have classes, such as digits and road signs."""

    size: tuple[Side, Side] | None = Field(
        None, description="rows, columns; default the largest that the files have"
    )
    colour: Literal["grey", "colour"] | None = Field(
        None, description="one channel or three; default colour where any file has it"
    )


class AugmentConfig(Section):
    """Images moved by the symmetries of the detector, each time they are trained on."""

    rotate: bool = Field(False, description="half of them are turned by 180° about the beam")
    shift: Integer = Field(
        0, ge=0, le=1000, description="strips that an event is moved at most, across the beam"
    )


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
