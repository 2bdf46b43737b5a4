"""Measure the mismodelling: which family of maps turns MC into data, by how much, how sure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..stats.figure import Figure
from ..stats.two_sample import separation
from ..tensors import Source, Target
from .families import family, shift_families
from .fit import FamilyFit, fit_family
from .free import FreeMap, fit_free

__all__ = ["CLOSED", "Calibration", "CalibrationReport", "Candidate", "calibrate"]

Floats = NDArray[np.float64]

CLOSED = 0.53  # held-out AUC up to which MC and data are not distinguished
_OPEN = 0.5  # part of what was distinguished before from which a shift is not closed
_SIMPLER = 0.02  # a family this much worse than the best, with fewer parameters, is preferred
_JUDGED = 3  # families that the classifier judges, those of the smallest distance


@dataclass(frozen=True, eq=False)
class Calibration:
    """A forward map MC → data.

    Attributes:
        fit: the family at its best parameters; ``None`` for the identity.
        classes: names of the classes.
        fractions: (C,) of the classes in the data.
        fraction_error: (C,) their standard errors; 0 where they were held.
        mc_fractions: (C,) of the classes in MC.
        seed: of the noise.
    """

    fit: FamilyFit | None
    classes: tuple[str, ...]
    fractions: Floats
    fraction_error: Floats
    mc_fractions: Floats
    seed: int = 0

    @property
    def name(self) -> str:
        """The family; ``none`` for the identity."""
        return "none" if self.fit is None else self.fit.family.name

    def apply(self, features: NDArray[np.floating], seed: int | None = None) -> NDArray[np.float32]:
        """Map (N, F) features of MC; missing values stay.

        Args:
            features: in the order of the tensor file.
            seed: of the noise of smearings; that of the fit by default.
        """
        x = np.asarray(features, dtype=np.float64)
        if self.fit is not None:
            x = self.fit.family.apply(x, self.fit.theta, self.seed if seed is None else seed)
        return x.astype(np.float32)

    def calibrated(self, mc: Source) -> Source:
        """MC with mapped features, and with weights at the class fractions of the data."""
        ratio = np.divide(
            self.fractions,
            self.mc_fractions,
            np.ones_like(self.fractions),
            where=self.mc_fractions > 0,
        )
        weight = np.asarray(mc.weight * ratio[mc.label], dtype=np.float32)
        return replace(mc, features=self.apply(mc.features), weight=weight)

    def parameters(self) -> dict[str, Figure]:
        """Name to value and error; of a shift also its t."""
        if self.fit is None or isinstance(self.fit.family, FreeMap):
            return {}
        known: dict[str, Figure] = {}
        for name, value, error in zip(
            self.fit.family.parameters, self.fit.theta, self.fit.error, strict=True
        ):
            known[name] = Figure(float(value), float(error), math.nan)
            if name.startswith("1/t"):
                t = 1.0 / value if value > 0 else math.inf
                known["t" + name[3:]] = Figure(t, float(error) * t**2 if value > 0 else math.nan, 0)
        return known


@dataclass(frozen=True)
class Candidate:
    """A family that was tried.

    Attributes:
        name: of the family; ``none`` is the identity.
        count: its number of parameters.
        distance: what is left, as the fit measures it.
        auc: held-out AUC of calibrated MC against data; ``None`` where it was not judged.
    """

    name: str
    count: int
    distance: float
    auc: Figure | None


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """What was measured, and what certifies it.

    Attributes:
        calibration: the map that was chosen.
        candidates: what was tried, the identity first, then by distance.
        before: held-out AUC of MC against data.
        after: the same with the calibrated MC.
        verdict: ``closed``, ``partly closed`` or ``not closed``.
        held: the fractions were held, since a flexible map and fractions are not both identified.
    """

    calibration: Calibration
    candidates: tuple[Candidate, ...]
    before: Figure
    after: Figure
    verdict: str
    held: bool

    def to_json(self) -> dict[str, Any]:
        """As JSON has it; ``None`` for what does not exist."""
        found = self.calibration
        return {
            "family": found.name,
            "parameters": {name: _figure(f) for name, f in found.parameters().items()},
            "fractions": {
                name: {"value": float(v), "error": float(e), "mc": float(m)}
                for name, v, e, m in zip(
                    found.classes,
                    found.fractions,
                    found.fraction_error,
                    found.mc_fractions,
                    strict=True,
                )
            },
            "fractions_held": self.held,
            "auc_before": _figure(self.before),
            "auc_after": _figure(self.after),
            "verdict": self.verdict,
            "candidates": [
                {
                    "family": c.name,
                    "parameters": c.count,
                    "distance": c.distance,
                    "auc": None if c.auc is None else _figure(c.auc),
                }
                for c in self.candidates
            ],
        }


def calibrate(
    mc: Source,
    target: Target,
    names: Sequence[str],
    *,
    families: Sequence[str] | None = None,
    hold_fractions: bool = False,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> CalibrationReport:
    """Fit forward maps MC → data, with the class fractions of the data, and judge what is left.

    Maps are fitted on the training splits. A classifier, trained and judged on the other events,
    says how well calibrated MC and data are still distinguished. Of the families that leave an AUC
    within .02 of the least, or within its error, that with the fewest parameters is chosen; the
    identity has none. No label of the data takes part.

    Args:
        mc: labelled events.
        target: the data.
        names: of the features.
        families: ``free``, or as :func:`hepdann.calibration.family` reads them; by default all
            shifts, and ``free``.
        hold_fractions: keep the class fractions of MC.
        seed: of all that is random.
        progress: told which family is being fitted.

    Raises:
        HepdannError: too few events.
        ConfigError: an unknown family or feature.
    """
    fitted_on, seen = mc.part("train"), target.part("train")
    held_out = mc.take(np.flatnonzero(mc.split != 0))
    judge = target.take(np.flatnonzero(target.split != 0))
    reference = fitted_on.features
    wanted = (*shift_families(), "free") if families is None else families
    tried = [family(text, reference, names) for text in wanted if text not in ("none", "free")]
    total = np.array([mc.weight[mc.label == c].sum(dtype=float) for c in range(len(mc.classes))])
    share = total / total.sum()
    fits: list[FamilyFit] = []
    identity = fit_family(_Nothing(), fitted_on, seen, held=hold_fractions, seed=seed)
    for one in tried:
        progress(one.name)
        fits.append(fit_family(one, fitted_on, seen, held=hold_fractions, seed=seed))
    if "free" in wanted:
        progress("free")
        fits.append(_free(fitted_on, seen, share, seed))
    fits.sort(key=lambda f: f.distance)

    def calibration(fit: FamilyFit) -> Calibration:
        shown = None if isinstance(fit.family, _Nothing) else fit
        return Calibration(shown, mc.classes, fit.fractions, fit.fraction_error, share, seed)

    def judged(one: Calibration) -> Figure:
        return separation(one.calibrated(held_out), judge, seed=seed)

    before = separation(held_out, judge, seed=seed)
    options = [(f, judged(calibration(f))) for f in (identity, *fits[:_JUDGED])]
    least = min(max(figure.value, 0.5) for _, figure in options)
    near = [o for o in options if o[1].value <= least + max(_SIMPLER, o[1].error)]
    chosen, after = min(near, key=lambda o: (len(o[0].theta), o[0].distance))
    aucs = {id(f): figure for f, figure in options}
    candidates = tuple(
        Candidate(f.family.name, len(f.theta), f.distance, aucs.get(id(f)))
        for f in (identity, *fits)
    )
    return CalibrationReport(
        calibration(chosen), candidates, before, after, _verdict(before, after), chosen.held
    )


def _free(mc: Source, target: Target, share: Floats, seed: int) -> FamilyFit:
    """The free map; it would swallow the class fractions, which are held."""
    fitted, distance = fit_free(mc, target, seed=seed)
    theta = fitted.flat()
    unknown = np.full((len(theta), len(theta)), np.nan)
    return FamilyFit(fitted, theta, share, unknown, distance, held=True)


def _verdict(before: Figure, after: Figure) -> str:
    if after.value <= max(CLOSED, 0.5 + 2 * after.error):
        return "closed"
    open_still = after.value - 0.5 > _OPEN * max(before.value - 0.5, 0.0)
    return "not closed" if open_still else "partly closed"


class _Nothing:
    """The family of the identity alone: only the class fractions are fitted."""

    name = "none"
    parameters: tuple[str, ...] = ()
    bounds = (np.zeros(0), np.zeros(0))
    step = np.zeros(0)

    def starts(self) -> Floats:
        return np.zeros((1, 0))

    def apply(self, x: Floats, theta: Floats, seed: int) -> Floats:  # noqa: ARG002
        return x


def _figure(figure: Figure) -> dict[str, float | None]:
    values = {"value": figure.value, "error": figure.error}
    return {key: v if math.isfinite(v) else None for key, v in values.items()}
