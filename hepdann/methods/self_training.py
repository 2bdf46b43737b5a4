"""Self-training: the network learns its target by the labels that an aligned teacher gives it."""

from __future__ import annotations

from .base import Method
from .dann import DANN_PHASES

SELF_TRAINING = Method(
    name="self-training",
    summary="MC's labels, and on the target the scores of an aligned teacher as soft labels",
    phases=DANN_PHASES,  # with lambda = 0: the domain head only watches
    adversarial=False,
    taught=True,
)
