"""What decides for a class and gives no score: the reconstruction that an experiment had before."""

from __future__ import annotations

from typing import Any

from ..criteria import CRITERIA
from ..stats.classification import accuracy
from ..stats.figure import Figure, effective_events
from .method_figures import TestEvents, named, number

__all__ = ["decision_figures"]


def decision_figures(name: str, mc: TestEvents, target: TestEvents) -> dict[str, Any]:
    """Everything that is known of a reconstruction that decides.

    Args:
        name: of :attr:`~hepdann.store.scores.RunScores.decisions`.
        mc: the MC's test split.
        target: the target's test split.

    Returns:
        A block of ``metrics.json`` like that of a method, DESIGN 5.4; figures that need a score
        are ``None``.
    """
    spread = {"mean": None, "std": None}
    members = {f"{d}_{f}": dict(spread) for d in ("mc", "target") for f in ("accuracy", "auc")}
    members["target_accuracy"]["peeked_max"] = None
    fixed = _figures(name, target)
    wrong = named("accuracy", None)
    return {
        "chosen": {"member": None, "criterion": None, "epoch": None, "epochs": []},
        "mc": _figures(name, mc),
        "target": fixed | named("consistency", None),
        "members": {"n": None, **members},
        "threshold": {
            "fixed": {"value": None} | {key: fixed[key] for key in wrong},
            "prior_matched": {"value": None} | wrong,
        },
        "domain": named("auc_features", None) | named("auc_score", None),
        "criteria": dict.fromkeys(CRITERIA)
        | named("residual_auc", None)
        | named("consistency", None)
        | named("validation_loss", None),
        "health": None,
    }


def _figures(name: str, part: TestEvents) -> dict[str, float | None]:
    found: Figure | None = None
    if part.label is not None:
        found = accuracy(part.decision(name), part.label, part.weight)
    return (
        named("accuracy", found)
        | named("auc", None)
        | named("loss", None)
        | {"n_eff": number(effective_events(part.weight))}
    )
