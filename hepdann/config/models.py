"""What a user may write in YAML, section by section; the command line fills the same models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "Config",
    "ConvertConfig",
    "FeatureConfig",
    "PlotConfig",
    "SampleConfig",
    "ShiftConfig",
    "SplitConfig",
    "TrainConfig",
]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class SampleConfig(_Section):
    """One process or file group."""

    name: str = Field(description="name of the process; samples of one name are one process")
    files: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        description="paths, globs, path:tree, root:// addresses or .txt file lists; "
        "${HEPDANN_DATA} expands",
        min_length=1,
    )
    role: Literal["mc", "data", "template"] = Field(
        "mc", description="mc: simulation; data: detector events; template: data-driven background"
    )
    class_: str | None = Field(
        None, alias="class", description="class of every event; without it, the label decides"
    )
    tree: str | None = Field(None, description="tree in these files; default convert.tree")
    cut: str | None = Field(None, description="selection of this sample, in place of convert.cut")
    weight: str | None = Field(None, description="branch or expression; default convert.weight")
    scale: float = Field(
        1.0, description="factor on every weight (cross section x luminosity / sum of weights)"
    )


class FeatureConfig(_Section):
    """One input column, or several where the branch is a fixed-size array."""

    name: str = Field(description="name of the column; the branch of that name unless expression")
    expression: str | None = Field(None, description="expression of branches, e.g. log(pt_1)")
    missing: float | None = Field(None, description="value that marks a missing entry, e.g. -999")
    impute: float | Literal["mean"] = Field(
        "mean", description="what a network sees in place of a missing value"
    )
    indicator: bool = Field(False, description="add a column <name>_missing of 0 and 1")
    unit: str = Field("", description="unit, for axis labels")
    title: str = Field("", description="LaTeX title, for axis labels; default the name")


class SplitConfig(_Section):
    """Shares of the three splits; an event's split follows from its identity alone."""

    train: float = Field(0.70, gt=0, lt=1)
    validation: float = Field(0.15, gt=0, lt=1)
    test: float = Field(0.15, gt=0, lt=1)
    seed: int = Field(0, ge=0, description="salt of the hash that assigns the split")


class ConvertConfig(_Section):
    """ROOT files to tensor file."""

    tree: str | None = Field(None, description="tree to read; default the only one, or the largest")
    features: list[str | FeatureConfig] | None = Field(
        None, description="inputs, in order; default the numeric scalars common to MC and data"
    )
    spectators: list[str] = Field([], description="kept for plots and cuts, never an input")
    label: str | None = Field(None, description="label branch or expression, MC only")
    classes: list[str] | None = Field(None, description="class names by label value")
    weight: str | None = Field(None, description="weight branch or expression; default none")
    data_weight: str | None = Field(None, description="weight of data; default none (1)")
    weights: dict[str, str] = Field({}, description="further weights and variations, MC only")
    cut: str | None = Field(None, description="selection, applied to every sample")
    missing: float | None = Field(None, description="sentinel of every feature without its own")
    event_id: list[str] | None = Field(None, description="branches that identify an event")
    split: SplitConfig = SplitConfig()
    block_size: int = Field(100_000, ge=1, description="entries read at a time")


class ShiftConfig(_Section):
    """Which f_i(t) turns MC into pseudo-data."""

    name: str = Field(description="name of the shift, see hepdann train --help")
    t: float = Field(gt=0, description="strength: larger t is a smaller shift")
    quantile: float = Field(
        1.0, gt=0, le=1, description="scale s as this quantile of |x| (1: the maximum)"
    )


class TrainConfig(_Section):
    """One training: methods x seeds, side by side."""

    methods: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        ["dann"], description="adversarial methods; baselines are always trained beside them"
    )
    shift: ShiftConfig | None = Field(None, description="pseudo-data; default the data domain")
    lambda_: float = Field(1.0, ge=0, alias="lambda", description="strength of the adversary")
    domain_weight: float = Field(1.0, ge=0, description="w_d, weight of the domain loss")
    seeds: int = Field(5, ge=1, le=1000, description="members a method")
    seed: int = Field(0, ge=0, description="seed of the first member")
    epochs: int = Field(20, ge=1)
    batch_size: int | Literal["auto"] = Field(
        "auto", description="events of each domain a step; auto: about 100 steps an epoch, 128-4096"
    )
    learning_rate: float = Field(2e-3, gt=0)
    schedule: Literal["cosine", "constant"] = Field("cosine", description="learning rate")
    lambda_schedule: Literal["ganin", "constant"] = "ganin"
    clip: float = Field(10.0, gt=0, description="largest gradient norm of each part of a network")
    ema: float = Field(0.995, ge=0, lt=1, description="averaging of the weights; 0: none")
    normalisation: Literal["domain", "shared", "none"] = Field(
        "domain", description="what batch normalisation in the extractor sees"
    )
    extractor: list[int] = Field([32, 32], min_length=1, description="widths of the extractor")
    label_head: list[int] = Field([16], description="hidden widths of the label head")
    domain_head: list[int] = Field([64, 64], description="hidden widths of the domain head")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    oracle: bool = Field(True, description="train the oracle where the truth is known")


class PlotConfig(_Section):
    """How figures look."""

    style: str = Field("ROOT", description="ATLAS, CMS, LHCb2, ALICE, DUNE or ROOT")
    experiment: str | None = Field(None, description="name printed on the figures")
    text: str | None = Field(None, description="e.g. Preliminary; printed only if given")
    lumi: float | None = Field(None, gt=0, description="in 1/fb; printed only if given")
    com: float | None = Field(None, gt=0, description="centre-of-mass energy in TeV, only if given")
    formats: list[Literal["pdf", "png", "svg"]] = ["pdf", "png"]


class Config(_Section):
    """A whole configuration file."""

    samples: list[SampleConfig] = []
    convert: ConvertConfig = ConvertConfig()
    train: TrainConfig = TrainConfig()
    plots: PlotConfig = PlotConfig()
