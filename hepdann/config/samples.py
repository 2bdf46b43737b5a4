"""The sections ``samples`` and ``convert``: files, columns, images, pictures and objects."""

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

from .section import (
    Integer,
    Number,
    Section,
    Text,
    Texts,
    Width,
    check_classes,
    check_features,
    check_roles,
    check_unique,
    long_form,
    refuse,
)

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
            refuse(f"clips at {clip[0]:g} and {clip[1]:g}", mend="the smaller one first")
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
    energy: TransformConfig = TransformConfig.model_construct()
    time: TransformConfig = TransformConfig.model_construct()
    datasets: dict[Literal["x", "u", "v"], Text] = Field(
        {}, description="of HDF5 files with names other than hits-x, times-x, hitimes-x"
    )
    hits: HitsConfig = HitsConfig.model_construct()

    @field_validator("channels")
    @classmethod
    def _once(cls, channels: list[str] | None) -> list[str] | None:
        check_unique(channels or [], "channel")
        return channels


class PicturesConfig(Section):
    """Pictures that have classes, such as digits and road signs."""

    size: tuple[Side, Side] | None = Field(
        None, description="rows, columns; default the largest that the files have"
    )
    colour: Literal["grey", "colour"] | None = Field(
        None, description="one channel or three; default colour where any file has it"
    )
    contrast: Literal["standardise"] | None = Field(
        None, description="standardise: every picture gets mean 128 and standard deviation 51; "
        "default as it is"
    )  # fmt: skip


class AugmentConfig(Section):
    """Images moved another way each time they are trained on; of pictures any part may be moved."""

    rotate: bool = Field(False, description="half of them are turned by 180° about the beam")
    shift: Integer = Field(
        0, ge=0, le=1000, description="strips that an event is moved at most, across the beam; "
        "pixels of a picture, along rows and columns"
    )  # fmt: skip
    turn: Number = Field(0.0, ge=0, le=180, description="degrees, at most, either way; of pictures")
    zoom: Number = Field(0.0, ge=0, lt=1, description="share, at most, larger or smaller; likewise")


class ObjectFeatureConfig(Section):
    """A number of each object."""

    name: Text = Field(description="in tables and figures")
    expression: Text = Field(description="expression of lists, e.g. log(jet_pt)")


ObjectFeature = Annotated[
    Annotated[Text, Tag("str")] | Annotated[ObjectFeatureConfig, Tag("ObjectFeatureConfig")],
    Discriminator(long_form("ObjectFeatureConfig")),
]


class ObjectLabelConfig(Section):
    """The class of each object of MC."""

    branch: Text = Field(description="list of whole numbers, or expression, e.g. jet_flavour")
    classes: dict[Text, Integer | list[Integer]] = Field(
        min_length=2, description="class to its values; an object of another value is of none"
    )


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
    label: ObjectLabelConfig | None = Field(
        None, description="of each object of MC, for networks with a head of objects"
    )

    @field_validator("features")
    @classmethod
    def _once(cls, features: list[ObjectFeature] | None) -> list[ObjectFeature] | None:
        names = (one if isinstance(one, str) else one.name for one in features or [])
        check_unique(names, "feature")
        return features

    @property
    def expressions(self) -> dict[str, str]:
        """Feature to expression, in order; empty if not listed."""
        pairs = (
            (f, f) if isinstance(f, str) else (f.name, f.expression) for f in self.features or []
        )
        return dict(pairs)


def _product(value: Any) -> Any:
    """A factor, which may be written as arithmetic: ``831.76 * 59830``."""
    if not isinstance(value, str):
        return value
    from ..expressions import parse

    expression = parse(value, what="scale")
    if expression.names:
        name = expression.names[0]
        mend = f"write {name} as a number; a counter of the files is named by sumw"
        refuse(f"{value!r} names {name!r}, and there are only numbers", mend=mend)
    return float(expression.evaluate(lambda name: refuse(name), 1)[0])


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
        total = self.train + self.validation + self.test
        if abs(total - 1.0) > 1e-6:
            refuse(
                f"train {self.train:g}, validation {self.validation:g} and test {self.test:g} "
                f"add up to {total:g}, not 1",
                mend="set all three",
            )
        return self


def _rising(edges: list[float]) -> list[float]:
    if any(low >= high for low, high in pairwise(edges)):
        refuse("edges must rise")
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
            refuse("changes nothing", mend="name a tree, or features by their expressions")
        return self


class FeatureConfig(Section):
    """One input column, or several where the branch is a fixed-size array."""

    name: Text = Field(description="name of the column; the branch of that name unless expression")
    expression: Text | None = Field(None, description="expression of branches, e.g. log(pt_1)")
    missing: Number | None = Field(None, description="value that marks a missing entry, e.g. -999")
    impute: Number | Literal["mean"] = Field(
        "mean", description="what a network sees in place of a missing value"
    )
    indicator: bool = Field(False, description="add a column <name>_missing of 0 and 1")
    unit: str = Field("", description="unit, for axis labels")
    title: str = Field("", description="LaTeX title, for axis labels; default the name")


class ClassConfig(Section):
    """One class: what makes an event one of it, and how it looks in every figure."""

    name: Text = Field(description="in tables, files and options")
    title: str | None = Field(None, description="LaTeX title in legends; default the name")
    color: Text | None = Field(None, description="colour in figures, a name or #rrggbb")
    cut: Text | None = Field(
        None,
        description="condition that makes the class; of all classes in place of label, the first "
        "that an event passes counts",
    )


ClassEntry = Annotated[
    Annotated[Text, Tag("str")] | Annotated[ClassConfig, Tag("ClassConfig")],
    Discriminator(long_form("ClassConfig")),
]


Feature = Annotated[
    Annotated[Text, Tag("str")] | Annotated[FeatureConfig, Tag("FeatureConfig")],
    Discriminator(long_form("FeatureConfig")),
]


class ConvertConfig(Section):
    """ROOT files, or HDF5 files of images, to tensor file."""

    tree: Text | None = Field(
        None, description="tree to read; default the only one, or the largest"
    )
    features: list[Feature] | None = Field(
        None, description="inputs, in order; default the numeric scalars common to MC and data"
    )
    spectators: list[Text] = Field([], description="kept for plots and cuts, never an input")
    label: Text | None = Field(None, description="label branch or expression, MC only")
    classes: list[ClassEntry] | None = Field(
        None, description="the classes by label value: names, or names with titles and colours"
    )
    weight: Text | None = Field(None, description="weight branch or expression; default none")
    data_weight: Text | None = Field(None, description="weight of data; default none (1)")
    weights: dict[str, Text] = Field({}, description="further weights and variations, MC only")
    variations: dict[Text, VariationConfig] = Field(
        {}, description="MC with shifted features, for systematics: <name>_up and <name>_down"
    )
    reweight: list[ReweightConfig] = Field([], description="of MC, one after the other")
    cut: Text | None = Field(
        None, description="selection, of every sample that has no cut of its own"
    )
    missing: Number | None = Field(
        None, description="sentinel of every feature without its own, e.g. -999"
    )
    event_id: list[Text] | None = Field(None, description="branches that identify an event")
    lumi_mask: Text | None = Field(
        None, description="JSON file of certified luminosity blocks, for data: {run: [[1, 30], …]}"
    )
    drop_duplicates: bool = Field(
        False, description="keep the first row of each event: of all data, and of each MC sample"
    )
    split: SplitConfig = SplitConfig.model_construct()
    images: ImagesConfig | None = Field(
        None, description="default: files with images or hits are recognised"
    )
    pictures: PicturesConfig = PicturesConfig.model_construct()
    objects: dict[Text, ObjectsConfig] = Field(
        {}, description="lists of jets, tracks, … by name, for networks of objects"
    )
    block_size: Integer = Field(100_000, ge=1, description="entries read at a time")
    compress: Literal["none", "gzip", "zstd"] = Field(
        "none", description="rows in compressed chunks; zstd needs hdf5plugin"
    )
    sha256: bool = Field(
        False, description="hash the input files for the provenance, for which all is read"
    )

    @model_validator(mode="before")
    @classmethod
    def _label_of_classes(cls, values: Any) -> Any:
        """The label that the cuts of classes make; what passes none of them has no class."""
        classes = values.get("classes") if isinstance(values, dict) else None
        cuts = [
            one.get("cut") if isinstance(one, dict) else getattr(one, "cut", None)
            for one in (classes if isinstance(classes, list) else ())
        ]
        if not any(cuts):
            return values
        if not all(cuts):
            what = "some classes have a cut and some have none"
            refuse(what, "classes", mend="give each one, or none")
        label = "-1"
        for index, cut in reversed(list(enumerate(cuts))):
            label = f"where({cut}, {index}, {label})"
        if values.get("label") not in (None, label):
            what = "there is a label, and the classes have cuts"
            refuse(what, "label", mend="keep one of the two")
        return {**values, "label": label}

    @model_validator(mode="after")
    def _inputs(self) -> Self:
        check_features(self)
        return self

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes by label value; ``None`` if not listed."""
        return None if self.classes is None else [c.name for c in self.class_configs()]

    def class_configs(self) -> list[ClassConfig]:
        """The classes in long form, by label value; empty if not listed."""
        return [ClassConfig(name=c) if isinstance(c, str) else c for c in self.classes or []]

    def feature_configs(self) -> list[FeatureConfig] | None:
        """The inputs in long form, with the common sentinel filled in; ``None`` if not listed."""
        if self.features is None:
            return None
        long = [FeatureConfig(name=f) if isinstance(f, str) else f for f in self.features]
        return [
            f if f.missing is not None else f.model_copy(update={"missing": self.missing})
            for f in long
        ]


class ConversionConfig(Section):
    """What a conversion needs of a configuration; the models of all else take their time."""

    samples: list[SampleConfig] = Field([])
    convert: ConvertConfig = ConvertConfig.model_construct()

    @model_validator(mode="after")
    def _samples_and_classes(self) -> Self:
        check_roles(self.samples)
        check_classes(self)
        return self
