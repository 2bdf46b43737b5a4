"""What a training notes of its networks, epoch by epoch: its checkpoints and the run keep it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Number = Finite | None
Count = Annotated[int, Field(ge=0, lt=1 << 62)]
Figures = dict[str, Number]


class Stored(BaseModel):
    """What is read from a file; a text is no number there."""

    model_config = ConfigDict(strict=True, extra="allow", protected_namespaces=(), defer_build=True)

    def to_json(self) -> dict[str, Any]:
        """What stands in the file, keys that have no type included."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Disease(Stored):
    """What is wrong with a network."""

    name: str
    severity: str
    message: str
    mend: str


class Look(Stored):
    """A look at a network; it holds the figures too."""

    method: str
    member: Count
    seed: int
    epoch: Count
    lambda_: Finite = Field(alias="lambda")
    grl: Number
    verdicts: list[Disease]
    own_auc: Number
    fresh_auc: Number
    auc_error: Number


class HistoryRowOf(Stored):
    """An epoch of a network, as a checkpoint keeps it."""

    method: str
    member: Count
    seed: int
    epoch: Count
    step: Count
    learning_rate: float
    grl: float
    loss_label: float
    loss_domain: float | None
    domain_accuracy: float | None
    validation_loss: float
    validation_accuracy: float
    validation_loss_domain: float | None
    validation_domain_accuracy: float | None
    lambda_: float | None = Field(alias="lambda")
