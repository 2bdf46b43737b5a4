"""How far exported scores are from hepdann's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError

__all__ = ["Agreement", "compare", "refuse_difference"]

_WORST = 5


@dataclass(frozen=True)
class Agreement:
    """How far the exported scores are from hepdann's.

    Attributes:
        events: how many were compared.
        largest: largest difference of a score.
        worst: the events that differ most: number, score of the last class in hepdann and in the
            exported file.
    """

    events: int
    largest: float
    worst: tuple[tuple[int, float, float], ...]


def compare(scores: NDArray[np.float32], expected: NDArray[np.float32]) -> Agreement:
    """Compare scores (N, C); one that is no number differs infinitely."""
    difference = np.abs(scores.astype(np.float64) - expected).max(axis=1)
    difference = np.where(np.isfinite(difference), difference, np.inf)
    worst = np.argsort(-difference, kind="stable")[:_WORST]
    rows = ((int(n), float(expected[n, -1]), float(scores[n, -1])) for n in worst)
    return Agreement(len(expected), float(difference.max(initial=0.0)), tuple(rows))


def refuse_difference(agreement: Agreement, tolerance: float) -> None:
    """Refuse scores that differ by more.

    Raises:
        RunError: it lists the worst events.
    """
    if agreement.largest <= tolerance:
        return
    worst = ", ".join(
        f"{number} ({expected:.9f}, {exported:.9f})"
        for number, expected, exported in agreement.worst
    )
    raise RunError(
        f"exported scores differ by up to {agreement.largest:.2g}, more than {tolerance:g}, and "
        f"nothing is written; the worst events (hepdann, exported): {worst}",
        mend="report it, or allow more with --tolerance",
    )
