"""Several labelled domains: MC, copies of it under other shifts, and the unlabelled target.

Zhao et al., "Adversarial Multiple Source Domain Adaptation" (2018), with one domain head for all:
it tells labelled events from target (binary), or each domain from every other.
"""

from __future__ import annotations

from dataclasses import replace

from .alternating import DANN_ALTERNATING
from .dann import DANN

HYBRID_DANN = replace(
    DANN,
    name="hybrid-dann",
    summary="dann with labelled copies of the MC under other shifts, each normalised by itself",
    auxiliary=True,
)

HYBRID_ALTERNATING = replace(
    DANN_ALTERNATING,
    name="hybrid-alternating",
    summary="dann-alternating with labelled copies of the MC under other shifts",
    auxiliary=True,
)
