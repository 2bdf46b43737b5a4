"""The types of the JSON files of a run and of a scan, as far as anybody reads them again.

They hold more than is named here. A key is required where a reader counts on it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, model_validator

from ..records import Count, Disease, Figures, Finite, Look, Number, Stored

Block = dict[str, JsonValue]  # figures by name, as the function that makes them says


class StoredShift(Stored):
    """A shift by name and t; of shifts one after the other, a t of each."""

    name: str
    t: Finite | list[Finite]


class TargetOf(Stored):
    """What a run was adapted to."""

    kind: Literal["pseudo-data", "data"]
    shift: StoredShift | None


class Spread(Stored):
    """Mean and standard deviation over networks."""

    mean: Number
    std: Number


class Peeked(Spread):
    """The same, and the best that was seen by target labels."""

    peeked_max: Number


class Members(Stored):
    """The single networks of a method."""

    n: Count | None
    mc_accuracy: Spread
    mc_auc: Spread
    target_accuracy: Peeked
    target_auc: Spread


class Chosen(Stored):
    """Which epochs the figures are those of."""

    criterion: str | None
    epoch: Count | None
    epochs: list[Count] = Field(default=[])
    member: Count | None = None


class Thresholds(Stored):
    """Accuracies at the two thresholds."""

    fixed: Figures
    prior_matched: Figures


class StoredVerdict(Disease):
    """A fault with the network that has it, and when it was seen."""

    seed: int
    until: Count
    lambda_: Finite = Field(alias="lambda")


class StoredHealth(Stored):
    """The health of a method's networks."""

    epoch: Count
    verdicts: list[StoredVerdict]
    figures: dict[str, Figures]
    reading: str | None
    networks: Count = 0
    adversary: bool = False


class MethodBlock(Stored):
    """The block of a method."""

    chosen: Chosen
    mc: Figures
    target: Figures
    members: Members
    threshold: Thresholds
    domain: Figures
    criteria: Figures
    health: StoredHealth | None = None
    objects: dict[str, Figures] = Field(default={})


class FeatureOf(Stored):
    """How a feature differs between MC and target."""

    name: str
    ks: Number
    wasserstein: Number
    mean_shift: Number
    differs: bool
    p_value: Number = None
    wasserstein_p_value: Number = None
    missing_mc: Number = None
    missing_target: Number = None


class DiagnosisBlocks(Stored):
    """What a diagnosis holds wherever it is written."""

    kind: str | None = None
    score: Block | None = None
    labels: Block | None = None
    fractions: Block | None = None
    closures: Block | None = None


class StoredDiagnosis(DiagnosisBlocks):
    """Whether MC and target differ, as ``metrics.json`` says it."""

    auc_inputs: Number
    auc_inputs_error: Number = None
    p_value: Number
    shift: bool | None
    sentence: str | None
    features: list[FeatureOf]


class Recommended(Stored):
    """``recommendation.json``."""

    method: str | None
    sentence: str
    teacher: str | None = None
    large_residual: bool = False
    candidates: dict[str, dict[str, Finite]] = Field(default={})
    parts: list[str] = Field(default=[])
    weights: list[Finite] = Field(default=[])


class Advice(Stored):
    """On which alignment a recommendation leans."""

    teacher: str | None


class WithAdvice(Stored):
    """``metrics.json``, as far as it says so."""

    recommendation: Advice


class Throughput(Stored):
    """How fast a training was."""

    members: Count = 0
    seconds: Finite = 0.0
    events_per_s: Number = None
    engines: list[str] = Field(default=[])
    time: dict[str, Finite] = Field(default={})


class NuisanceCut(Stored):
    """A cut on the score, and what it does to the background's nuisance."""

    efficiency: Finite
    rejection: Number
    jsd: Number
    inverse_jsd: Number
    floor: Number


class NuisanceFigures(Stored):
    """What the score of a method tells of a nuisance."""

    ks: Number
    cuts: list[NuisanceCut]


class Metrics(Stored):
    """``metrics.json``."""

    format_version: Literal[1]
    target: TargetOf
    majority: Figures
    methods: dict[str, MethodBlock]
    criteria: Block = Field(default={})
    recommended: str | None
    recommendation: Recommended
    diagnosis: StoredDiagnosis
    calibrations: dict[str, Block] = Field(default={})
    gap: Block | None = None
    throughput: Throughput | None = None
    nuisances: dict[str, dict[str, NuisanceFigures]] = Field(default={})
    interrupted: bool = False
    hepdann: str = ""


class Diagnosed(DiagnosisBlocks):
    """``diagnosis.json``; empty where there were too few events."""

    auc: Number = None
    auc_error: Number = None
    p_value: Number = None
    p_value_all_features: Number = None
    n_mc: Count = 0
    n_target: Count = 0
    shift: bool | None = None
    sentence: str | None = None
    features: list[FeatureOf] = Field(default=[])


class HealthFigures(Stored):
    """What each figure is; these are what the reading is made of."""

    own_auc: str
    fresh_auc: str
    auc_error: str


class HealthLooks(Stored):
    """``health.json``."""

    format_version: int = 1
    figures: HealthFigures
    looks: list[Look]


class Files(Stored):
    """``origin.json``, as far as it says where the tensors are."""

    tensors: Annotated[str, Field(min_length=1)]
    data: str | None
    content: Annotated[list[str], Field(min_length=1, max_length=2)] | None = None


class ScanPlace(Stored):
    """What the seeds of a group of a scan share."""

    method: str
    lambda_: Number = Field(alias="lambda")
    shift: str | None
    t: Number


class Gap(Stored):
    """Share of the gap to the oracle that is closed."""

    accuracy: Number
    auc: Number


class LastEpoch(Stored):
    """Figures of the networks of a group at the last epoch."""

    target_accuracy: Spread
    target_auc: Spread
    consistency: Spread


class PeekedAt(Stored):
    """The same where target labels chose the epoch."""

    target_accuracy: Spread


class Group(ScanPlace):
    """A method at one λ and target of a scan."""

    majority: Number
    last_epoch: LastEpoch
    gap_closed: Gap
    peeked: PeekedAt


class Choice(ScanPlace):
    """The λ of a method that was chosen at one target."""


class ScanDisease(Disease):
    """A fault of a scan."""

    method: str
    shift: str | None
    t: Number
    seeds: list[int]
    lambda_: Finite = Field(alias="lambda")


class ScanSummary(Stored):
    """``scan.json``."""

    format_version: Literal[1]
    classes: Annotated[list[str], Field(min_length=2)]
    class_titles: list[str] = Field(default_factory=list)
    groups: list[Group]
    choices: list[Choice]
    health: list[ScanDisease] = Field(default=[])
    diagnosis: list[str | None] = Field(default=[])
    fractions: list[str | None] = Field(default=[])
    interrupted: bool = False

    @model_validator(mode="after")
    def _all_chosen(self) -> Self:
        """A λ is chosen for every method at every target."""
        groups, choices = (
            {(one.method, one.shift, one.t) for one in some} for some in (self.groups, self.choices)
        )
        if groups - choices:
            method, shift, t = sorted(groups - choices, key=str)[0]
            raise ValueError(f"choices: no λ is chosen for {method} at {shift} t = {t}")
        return self


class Area(Stored):
    """An area under a curve with its error."""

    value: Finite
    error: Finite
    n_eff: Finite = 0.0


class Curve(Stored):
    """A ROC curve."""

    signal_efficiency: list[Number]
    background_efficiency: list[Number]
    thresholds: list[Number]
    error: list[Number]
    background_error: list[Number]
    auc: Area


class StoredRoc(ScanPlace):
    """The ROC curve of a group of a scan."""

    roc: Curve


class StoredRocs(Stored):
    """``rocs.json``."""

    format_version: Literal[1]
    rocs: list[StoredRoc]


class ScanRow(ScanPlace):
    """A network of a scan."""

    seed: int
    epoch: Count
    mc_accuracy: Number
    mc_auc: Number
    target_accuracy: Number
    target_auc: Number
    consistency: Number
    agreement: Number
    validation_loss: Number
    chosen_epoch: Count | None
    chosen_target_accuracy: Number
    chosen_target_auc: Number
    peeked_epoch: Count | None
    peeked_target_accuracy: Number
    peeked_target_auc: Number


class Ensemble(Stored):
    """Figures of the mean score of a group."""

    target_accuracy: Number
    target_auc: Number
    agreement: Number


class Judged(ScanPlace):
    """A group of a scan, before all of them are put together."""

    ensemble: Ensemble
    roc: Curve | None
    gap: Figures = Field(default={})


class PointResult(Stored):
    """What became of a stack at a target of a scan."""

    fingerprint: str
    majority: Number
    rows: list[ScanRow]
    groups: list[Judged]
    history: list[dict[str, str | Number]]
    health: list[ScanDisease] = Field(default=[])

    @model_validator(mode="after")
    def _groups_have_rows(self) -> Self:
        places = {(row.method, row.lambda_, row.shift, row.t) for row in self.rows}
        if any((g.method, g.lambda_, g.shift, g.t) not in places for g in self.groups):
            raise ValueError("a group without a row")
        return self


class PointBaselines(PointResult):
    """The same of what needs no training at a target."""

    teacher: str
    diagnosis: str | None = None
    fractions: str | None = None


class StoredCalibration(Stored):
    """A map of the MC that networks were trained behind, and what certifies it."""

    family: str
    verdict: Literal["closed", "partly closed", "not closed"]
    sentence: str
    map: dict[str, Any]  # of hepdann.calibration.Calibration


class Calibrations(Stored):
    """``calibrations.json``: by method, of each fold; of a run without folds once."""

    format_version: Literal[1]
    folds: Annotated[list[dict[str, StoredCalibration]], Field(min_length=1)]


class PointMaps(Stored):
    """The alignments at a target, each for its own code to read."""

    maps: dict[str, dict[str, Any]]
    correction: list[Finite] | None = None
    calibrations: dict[str, StoredCalibration] = Field(default={})
    diagnosis: str | None = None
    fractions: str | None = None
