"""Figures that rank methods and networks without a target label."""

from __future__ import annotations

from ..stats import density_ratio, disagreement, nearest, neighbours_of
from .outputs import (
    agreement,
    consistency,
    dev,
    entropy,
    importance_weighted,
    infomax,
    prior_match,
    reverse_validation,
    signal_share,
    soft_neighbourhood,
    source_loss,
)
from .recommendation import (
    GUARD,
    Adapted,
    Recommendation,
    Residual,
    is_closed,
    recommend,
    recommend_adapted,
    teacher,
)
from .table import CRITERIA, Candidate, Criterion, Evidence, register, tabulate

__all__ = [
    "CRITERIA", "GUARD", "Adapted", "Candidate", "Criterion", "Evidence", "Recommendation",
    "Residual", "agreement", "consistency", "density_ratio", "dev", "disagreement", "entropy",
    "importance_weighted", "infomax", "is_closed", "nearest", "neighbours_of", "prior_match",
    "recommend", "recommend_adapted", "register", "reverse_validation", "signal_share",
    "soft_neighbourhood", "source_loss", "tabulate", "teacher",
]  # fmt: skip
