"""What a calibration measured: the map MC → data, its errors, and what certifies it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..shifts import FittedShift
from ..shifts.noise import EventSeed, Seed, identities
from ..stats.figure import Figure
from ..tensors import Collection, Objects, Source, Target
from .families import Detector, Family, FamilyChain, FittedMap, ShiftFamily
from .fit import FamilyFit
from .free import FreeMap, FreeObjects
from .mixture import Mixture, mixture_of
from .objects import OF_OBJECTS, ObjectDetector, ObjectShift, ObjectSource
from .refiner import RefinerMap

Floats = NDArray[np.float64]
_Inputs = TypeVar("_Inputs", NDArray[np.float32], Objects)

RANGE = 3.0  # standard errors on either side that a parametrised network knows
CLOSED = 0.53  # held-out AUC up to which MC and data are not distinguished
_NO_SHIFT = 1e-6  # 1/t up to which there is none, and t beyond all bounds
_OPEN = 0.5  # part of what was distinguished before from which a shift is not closed


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

    def apply(
        self, features: _Inputs, seed: int | None = None, event_id: NDArray[np.uint64] | None = None
    ) -> _Inputs:
        """Map (N, F) features of MC, or the objects of N events; missing values stay.

        Args:
            features: in the order of the tensor file.
            seed: of the noise of smearings; that of the fit by default.
            event_id: (N,) identities of the events, from which the noise then follows, and from
                their features; by default it follows from their order.
        """
        plain = not isinstance(features, Objects)
        x: Any = np.asarray(features, dtype=np.float64) if plain else features
        if self.fit is not None:
            seed = self.seed if seed is None else seed
            drawn: Seed = seed
            if event_id is not None:
                drawn = EventSeed(seed, identities(event_id, features))
            x = self.fit.family.apply(x, self.fit.theta, drawn)
        return x.astype(np.float32) if plain else x  # type: ignore[no-any-return]

    def varied(self, errors: float) -> Self:
        """The calibration, its parameters changed by so many standard errors.

        Of several parameters together, in the way that changes the distributions most; the class
        fractions stay.
        """
        if self.fit is None:
            return self
        low, high = self.fit.family.bounds
        theta = np.clip(self.fit.theta + errors * self.fit.variation, low, high)
        return replace(self, fit=replace(self.fit, theta=theta))

    def calibrated(self, mc: Source, seed: int | None = None) -> Source:
        """MC with mapped features, and with weights at the class fractions of the data."""
        ratio = np.divide(
            self.fractions,
            self.mc_fractions,
            np.ones_like(self.fractions),
            where=self.mc_fractions > 0,
        )
        weight = np.asarray(mc.weight * ratio[mc.label], dtype=np.float32)
        return replace(self.mapped(mc, seed), weight=weight)

    def mapped(self, mc: Source, seed: int | None = None) -> Source:
        """MC with mapped features, or objects, at their own class fractions."""
        if isinstance(mc, ObjectSource):
            return ObjectSource.of(mc, self.apply(mc.objects, seed))
        return mc.with_features(self.apply(mc.features, seed))

    def moved(self, errors: float = 3.0) -> bool:
        """Whether a class fraction differs from that of MC, by so many errors if it has one."""
        apart = np.abs(self.fractions - self.mc_fractions)
        return bool(np.any(apart > errors * np.maximum(self.fraction_error, 1e-9)))

    def mixture(self, mc: Source, target: Target) -> Mixture:
        """Whether data are calibrated MC, at its fractions if they were held, or at any."""
        held = self.fit is not None and self.fit.held
        return mixture_of(self.calibrated(mc), mc, target, held=held, seed=self.seed)

    def parametrised(self, mc: Source, seed: int | None = None) -> Source:
        """Calibrated MC, each event at parameters of its own, which are a further feature.

        They lie on a line through the best ones, along what changes the distributions most, and
        uniformly within :data:`RANGE` standard errors (Baldi et al., EPJC 76 (2016) 235). The seed
        is that of :meth:`apply`.
        """
        seed = self.seed if seed is None else seed
        generator = np.random.default_rng([seed, 0xBA])
        values = np.linspace(-RANGE, RANGE, 41)
        chosen = generator.integers(len(values), size=len(mc))
        features = np.empty((len(mc), mc.features.shape[1] + 1), np.float32)
        for number, value in enumerate(values):
            rows = np.flatnonzero(chosen == number)
            moved = self.varied(float(value)).apply(mc.features[rows], seed + number)
            features[rows] = with_parameter(moved, float(value))
        return replace(self.calibrated(mc), features=features)

    def parameters(self) -> dict[str, Figure]:
        """Name to value and error; of a shift also its t. Empty for the identity and ``free``."""
        return {} if self.fit is None else parameters_of(self.fit)

    def to_dict(self) -> dict[str, Any]:
        """Everything :meth:`from_dict` needs, JSON-serialisable."""
        fit = self.fit
        return {
            "family": None if fit is None else fit.family.to_dict(),
            "theta": [] if fit is None else fit.theta.tolist(),
            "covariance": [] if fit is None else np.nan_to_num(fit.covariance).tolist(),
            "distance": 0.0 if fit is None else fit.distance,
            "held": True if fit is None else fit.held,
            "variation": [] if fit is None else fit.variation.tolist(),
            "classes": list(self.classes),
            "fractions": self.fractions.tolist(),
            "fraction_error": self.fraction_error.tolist(),
            "mc_fractions": self.mc_fractions.tolist(),
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The calibration that :meth:`to_dict` described.

        Raises:
            ConfigError: a shift of that name is not registered here.
        """
        fractions, error, mc = (
            np.asarray(stored[name], np.float64)
            for name in ("fractions", "fraction_error", "mc_fractions")
        )
        fit = None
        if stored["family"] is not None:
            fit = FamilyFit(
                stored_family(stored["family"]),
                np.asarray(stored["theta"], np.float64),
                fractions,
                np.asarray(stored["covariance"], np.float64),
                float(stored["distance"]),
                bool(stored["held"]),
                np.asarray(stored["variation"], np.float64),
            )
        return cls(fit, tuple(stored["classes"]), fractions, error, mc, int(stored["seed"]))


def stored_family(stored: Mapping[str, Any]) -> Family:
    """The family that its ``to_dict`` described.

    Raises:
        ConfigError: a shift of that name is not registered here.
    """
    kind = stored["kind"]
    fitted: dict[str, type[FittedMap]] = {
        "free": FreeMap,
        "refiner": RefinerMap,
        "objects-free": FreeObjects,
    }
    if kind in fitted:
        return fitted[kind].from_dict(stored)
    if kind == "chain":
        return FamilyChain(tuple(map(stored_family, stored["parts"])))
    plain = kind.removeprefix(OF_OBJECTS)
    if plain == "shift":
        shift = FittedShift.from_dict(stored)
        if plain == kind:
            return ShiftFamily(shift)
        named = (Collection(str(n), tuple(f), int(m)) for n, f, m in stored["collections"])
        return ObjectShift(shift, tuple(named))
    return (Detector if plain == kind else ObjectDetector)(
        plain,
        tuple(int(column) for column in stored["columns"]),
        tuple(stored["names"]),
        np.asarray(stored["sigma"], np.float64),
        bool(stored["common"]),
        stored["known"] and (float(stored["known"][0]), float(stored["known"][1])),
    )


@dataclass(frozen=True)
class FamilyCandidate:
    """A family that was tried.

    Attributes:
        name: of the family; ``none`` is the identity.
        count: its number of parameters.
        distance: mean squared difference of the distributions that is left.
        auc: held-out AUC of calibrated MC against data; ``None`` where it was not judged.
        values: its parameters; empty where it was not judged.
    """

    name: str
    count: int
    distance: float
    auc: Figure | None
    values: dict[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Profile:
    """The distance against one parameter, the class fractions fitted at each value.

    Attributes:
        name: of the parameter.
        values: (n,) rising, the other parameters held at their best values.
        distance: (n,).
        best: the fitted value, and its standard error.
    """

    name: str
    values: Floats
    distance: Floats
    best: Figure


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """What was measured, and what certifies it.

    Attributes:
        calibration: the map that was chosen.
        candidates: what was tried, the identity first, then by distance.
        before: held-out AUC of MC against data.
        after: the same with the calibrated MC.
        held: the fractions were held: as asked, or since a flexible map and fractions are not
            both identified.
        mixture: whether map and class fractions are all that differs; ``None`` where the fractions
            that are fitted without a map hardly differ from those of MC, or are held.
        shown: the map of figures: that which was chosen, or where that is the identity and
            families were asked for, the nearest of theirs.
        profiles: of the parameters of that map.
    """

    calibration: Calibration
    candidates: tuple[FamilyCandidate, ...]
    before: Figure
    after: Figure
    held: bool
    mixture: Mixture | None
    shown: Calibration
    profiles: tuple[Profile, ...]

    @property
    def _hidden(self) -> bool:
        return self.mixture is not None and not self.mixture.explains

    @property
    def verdict(self) -> str:
        """``closed``, ``partly closed`` or ``not closed``."""
        return "not closed" if self._hidden else verdict(self.before, self.after)

    @property
    def applied(self) -> Calibration:
        """The map, as a training takes it.

        Where no map is chosen and MC and data were not distinguished before, or other class
        fractions do not explain the data, these stay those of MC too.
        """
        chosen = self.calibration
        seen = verdict(self.before, self.before) != "closed"
        if not self._hidden and (chosen.fit is not None or seen):
            return chosen
        return replace(chosen, fractions=chosen.mc_fractions)

    @property
    def sentence(self) -> str:
        """The verdict in plain words."""
        left = f"AUC {self.after.value:.3f} ± {self.after.error:.3f}"
        name = self.calibration.name
        like = "a map of all events" if self.held else "other class fractions"
        why = f": a class that MC lack, or a shift of one class, looks like {like}"
        if name == "none":
            if self._hidden:
                what = why[2:]
            elif self.calibration.moved():
                what = "other class fractions, and no map of the features"
            elif self.before.value > CLOSED:
                what = "no family of maps brings MC nearer to the data"
            else:
                what = "no shift to mend"
            return f"{what} ({left}): {self.verdict}"
        values = [
            f"{key} = {plus_minus(figure.value, figure.error)}"
            for key, figure in self.calibration.parameters().items()
            if not key.startswith("1/t")
        ]
        text = f"{name}: {', '.join(values)}" if values else name
        if self.held and self.calibration.moved():
            text += ", at estimated class fractions, from which it cannot be separated"
        verdict_text = self.verdict + why * self._hidden
        return f"{text}; {verdict_text} ({left}, before {self.before.value:.3f})"

    def to_json(self) -> dict[str, Any]:
        """As JSON has it; ``None`` for what does not exist."""
        chosen = self.calibration
        return {
            "family": chosen.name,
            "parameters": {name: _figure(f) for name, f in chosen.parameters().items()},
            "fractions": {
                name: {"value": float(v), "error": float(e), "mc": float(m)}
                for name, v, e, m in zip(
                    chosen.classes,
                    chosen.fractions,
                    chosen.fraction_error,
                    chosen.mc_fractions,
                    strict=True,
                )
            },
            "fractions_held": self.held,
            "auc_before": _figure(self.before),
            "auc_after": _figure(self.after),
            "fractions_leave": None if self.mixture is None else self.mixture.left,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "candidates": [
                {
                    "family": c.name,
                    "parameter_count": c.count,
                    "parameters": {name: _figure(f) for name, f in c.values.items()},
                    "distance": c.distance,
                    "auc": None if c.auc is None else _figure(c.auc),
                }
                for c in self.candidates
            ],
            "profiles": {
                p.name: {"values": p.values.tolist(), "distance": p.distance.tolist()}
                for p in self.profiles
            },
        }


def parameters_of(fit: FamilyFit) -> dict[str, Figure]:
    """Name to value and error; of a shift its t beside 1/t; empty for a free map."""
    if isinstance(fit.family, FittedMap):
        return {}
    known: dict[str, Figure] = {}
    for name, value, error in zip(fit.family.parameters, fit.theta, fit.error, strict=True):
        known[name] = Figure(float(value), float(error), math.nan)
        if name.startswith("1/t"):
            t = 1.0 / float(value) if value > _NO_SHIFT else math.inf
            spread = float(error) * t**2 if value > _NO_SHIFT else math.nan
            known[name[2:]] = Figure(t, spread, math.nan)
    return known


def with_parameter(features: NDArray[np.float32], errors: float) -> NDArray[np.float32]:
    """Features (N, F + 1): the last is how many standard errors the parameters are changed by."""
    column = np.full((len(features), 1), errors / RANGE, np.float32)
    return np.concatenate([features, column], axis=1)


def verdict(before: Figure, after: Figure) -> str:
    """Of held-out AUCs before and after a calibration: closed, partly closed or not closed."""
    if after.value <= max(CLOSED, 0.5 + 2 * after.error):
        return "closed"
    mostly = after.value - 0.5 > _OPEN * max(before.value - 0.5, 0.0)
    return "not closed" if mostly else "partly closed"


def plus_minus(value: float, error: float) -> str:
    """A value with its error, both to two digits of the error."""
    if not (math.isfinite(value) and error > 0):
        return f"{value:.4g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _figure(figure: Figure) -> dict[str, float | None]:
    values = {"value": figure.value, "error": figure.error}
    return {key: v if math.isfinite(v) else None for key, v in values.items()}
