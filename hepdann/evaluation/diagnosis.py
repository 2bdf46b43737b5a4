"""Is there a shift, and in which features: numbers, and a sentence that says so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..tensors import Target
from .features import FeatureShift, rank_features
from .two_sample import SIGNIFICANT, TwoSample, two_sample

__all__ = ["Diagnosis", "diagnose"]

_SMALL = 0.55  # AUC below which a shift that is there is called small


@dataclass(frozen=True)
class Diagnosis:
    """What separates MC from the target.

    Attributes:
        test: the two-sample test on all features together.
        features: each feature by itself, the one that differs most first.
    """

    test: TwoSample
    features: tuple[FeatureShift, ...]

    @property
    def differing(self) -> tuple[FeatureShift, ...]:
        """The features that differ by themselves, after correction for their number."""
        return tuple(f for f in self.features if f.p_value < SIGNIFICANT)

    @property
    def sentence(self) -> str:
        """The outcome in plain words."""
        test = self.test
        figures = f"AUC {test.auc:.3f} ± {test.auc_error:.3f}, p = {test.p_value:.2g}"
        if not test.shift and not self.differing:
            return f"No shift found ({figures}): adapting can only cost you."
        if not test.shift:
            differ = "differ by themselves" if len(self.differing) > 1 else "differs by itself"
            return (
                f"No shift that a classifier could use ({figures}), but {_names(self.differing)} "
                f"{differ}: compare data and MC there before adapting."
            )
        size = "a small shift" if test.auc < _SMALL else "a shift"
        what = "in how features go together, for no single one differs"
        if self.differing:
            what = f"most in {_names(self.differing)}"
        return (
            f"MC and data differ: {size} ({figures}), {what}. Detected is not worth adapting: "
            "train, and compare with source-only."
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable numbers and text (NaN where a figure does not exist)."""
        return {
            "auc": self.test.auc,
            "auc_error": self.test.auc_error,
            "p_value": self.test.p_value,
            "shift": self.test.shift,
            "n_mc": self.test.n_mc,
            "n_target": self.test.n_target,
            "features": [asdict(feature) for feature in self.features],
            "sentence": self.sentence,
        }

    def to_json(self) -> dict[str, Any]:
        """The same as JSON has it, ``None`` for what does not exist."""
        found: dict[str, Any] = _finite(self.to_dict())
        return found


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def diagnose(
    mc: Target,
    target: Target,
    names: Sequence[str],
    *,
    seed: int = 0,
    max_events: int = 10_000,
    permutations: int = 500,
) -> Diagnosis:
    """Test all features together and one by one; labels are not looked at.

    Args:
        mc: the simulation.
        target: the data, or what stands in for it.
        names: name of each feature, in order.
        seed: of the test's random parts.
        max_events: rows of each sample that the test on all features uses at most.
        permutations: of the p-value.

    Raises:
        HepdannError: too few events for a test.
    """
    test = two_sample(mc, target, seed=seed, max_events=max_events, permutations=permutations)
    return Diagnosis(test, tuple(rank_features(mc, target, names, seed=seed)))


def _names(features: Sequence[FeatureShift], most: int = 3) -> str:
    shown = [f"{f.name} (KS {f.ks:.3f})" for f in features[:most]]
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
