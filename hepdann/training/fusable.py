"""Which trainings the fused engine can run; told without Numba."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from ..methods import DANN_PHASES, Phase
from ..networks import NetworkShape
from .settings import Settings

__all__ = ["fused_installed", "unfusable"]


def fused_installed() -> bool:
    """Whether what the fused engine needs is installed; it is not imported."""
    return find_spec("numba") is not None


def unfusable(shape: NetworkShape, phases: Sequence[Phase], settings: Settings) -> str:
    """Why the fused engine cannot run the steps of a stack; empty if it can.

    Args:
        shape: of its networks.
        phases: of its steps.
        settings: of the training.

    Returns:
        What there would have to be for it, in words that follow "no".
    """
    plain = settings.optimiser == "adam" and settings.weight_decay == 0
    reasons = {
        "step but that of dann": phases is not DANN_PHASES,
        f"activation {shape.activation}": shape.activation != "relu",
        "dropout": shape.dropout > 0,
        "network of the user's own": bool(shape.network),
        "residual layers": shape.residual,
        "layer normalisation": shape.normalisation == "layer",
        "regression": shape.classes < 2,
        "other device than the CPU": settings.device != "cpu",
        "optimiser but adam without weight decay": not plain,
        "rate of the heads' own": settings.head_rate != 1,
    }
    return " and no ".join(reason for reason, found in reasons.items() if found)
