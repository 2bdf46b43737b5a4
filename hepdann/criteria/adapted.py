"""Which network to use where no map of the inputs can be compared: events that are images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..registry import CALIBRATED
from ..stats import Figure
from .recommendation import Recommendation, Residual

RAW = "source-only"
_SIMPLER = 0.02  # of AUC, by which a calibration may be worse
_COST = 0.01  # of accuracy on MC that an adaptation may cost
_LARGE = 0.65  # AUC in the feature layer from which a shift remains that the user must hear of


@dataclass(frozen=True)
class Adapted:
    """What is known of a method without a target label.

    Attributes:
        accuracy: on MC, validation split.
        accuracy_error: its standard error.
        separation: AUC with which a fresh classifier tells MC and target apart by the feature
            layer, validation splits.
        expected: of pictures how often the method is taken to be right on the target, see
            :func:`~hepdann.stats.expected_accuracy`.
    """

    accuracy: float
    accuracy_error: float
    separation: Residual
    expected: Figure | None = None


def recommend_adapted(found: Mapping[str, Adapted], *, shift: bool | None = None) -> Recommendation:
    """Decide between ``source-only`` and the networks that adapted.

    1. No shift was found: ``source-only``, for adapting could only cost.
    2. Otherwise the adapted method whose feature layer tells MC and target apart least, of those
       that cost at most .01 of accuracy on MC (or its error), if that is less than what
       source-only's tells by more than its error. A calibration changes MC and no data: it costs
       nothing, and may be .02 worse.
    3. Else, of pictures, the one that is expected to be right most often on the target, if that is
       more often than source-only by more than the error and what it costs of accuracy on MC. How
       distinct the domains are says little of digits against digits in photographs, which no layer
       makes alike.
    4. Else ``source-only``.

    Args:
        found: by method; without ``source-only`` nothing is recommended.
        shift: whether a two-sample test found a shift in what sums the images up; ``None``: not
            tested.
    """
    if RAW not in found:
        return Recommendation(None, "no candidate was trained")
    known = {
        name: {"domain_auc": one.separation.value, "mc_accuracy": one.accuracy}
        | ({} if one.expected is None else {"expected_accuracy": one.expected.value})
        for name, one in found.items()
    }
    raw = found[RAW]

    def chosen(name: str, sentence: str) -> Recommendation:
        large = shift is not False and found[name].separation.value > _LARGE
        more = " A large shift remains in its feature layer." if large else ""
        return Recommendation(name, sentence + more, RAW, large, candidates=known)

    if shift is False:
        return chosen(RAW, "no shift was found, and adapting could only cost")
    least = raw.accuracy - max(_COST, raw.accuracy_error)
    fair = {
        n: one.separation.value - _SIMPLER * (n in CALIBRATED)
        for n, one in found.items()
        if n != RAW and (one.accuracy >= least or n in CALIBRATED)
    }
    best = min(fair, key=lambda name: fair[name], default=RAW)
    now, before = found[best].separation, raw.separation
    alike = before.value - now.value > now.error
    surest = None if alike else _surest(found)
    if surest:
        return chosen(*surest)
    if not fair:
        return chosen(RAW, f"every adaptation costs more than {_COST:g} of accuracy on MC")
    if not alike:
        told = f"{best} does not tell MC and target apart less than source-only does"
        return chosen(RAW, f"{told} (AUC {now.value:.3f} against {before.value:.3f})")
    cost = (
        "leaves data as they are"
        if best in CALIBRATED
        else "costs no accuracy on MC that matters "
        f"({found[best].accuracy:.3f} against {raw.accuracy:.3f})"
    )
    return chosen(
        best,
        f"{best} tells MC and target apart by AUC {now.value:.3f} ± {now.error:.3f} in its feature "
        f"layer, source-only by {before.value:.3f}, and {cost}",
    )


def _surest(found: Mapping[str, Adapted]) -> tuple[str, str] | None:
    """The method that is expected to be right most often on the target, and why; if any is."""
    expected = {n: one.expected for n, one in found.items() if one.expected is not None}
    if RAW not in expected:
        return None
    best = max(expected, key=lambda name: expected[name].value)
    now, before = expected[best], expected[RAW]
    cost = max(0.0, found[RAW].accuracy - found[best].accuracy)
    if now.value - before.value <= cost + math.hypot(now.error, before.error):
        return None
    return best, (
        f"by how sure each is, {best} is expected to be right on {now.value:.3f} of the target, "
        f"source-only on {before.value:.3f}"
    )
