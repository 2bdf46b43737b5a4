"""Families of forward maps: what a calibration may do to MC so that they look like data."""

from __future__ import annotations

import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .. import shifts
from ..errors import ConfigError
from ..shifts.noise import Seed, noise

Floats = NDArray[np.float64]

_DETECTOR = ("scale", "offset", "smear")
_NUMBER = r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?"
_LARGEST = 1.25  # 1/t of the largest shift that is looked for
_GRID = (0.0, *np.geomspace(0.05, _LARGEST, 20))
_COARSE = _GRID[::3]  # of each part of a chain


@dataclass(frozen=True)
class Parameter:
    """A parameter of a family, 0 of the identity.

    Attributes:
        name: as results say it.
        low: smallest value; ``high`` is the largest.
        step: of numerical derivatives.
        known: mean and standard deviation that are known beforehand; ∞ where nothing is.
    """

    name: str
    low: float = -np.inf
    high: float = np.inf
    step: float = 1e-3
    known: tuple[float, float] = (0.0, np.inf)


class Family(ABC):
    """Maps x → g(x; θ) of MC features, with θ = 0 the identity."""

    @property
    @abstractmethod
    def name(self) -> str:
        """As ``--family`` takes it."""

    @property
    @abstractmethod
    def table(self) -> tuple[Parameter, ...]:
        """The K parameters."""

    @abstractmethod
    def starts(self) -> Floats:
        """(S, K) points from which the fit looks for the minimum; 0 is among them."""

    @abstractmethod
    def apply(self, x: Floats, theta: Floats, seed: Seed) -> Floats:
        """Map (N, F) features; the noise depends on the seed, and not on θ."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What a stored calibration makes the family of, as JSON has it."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the K parameters."""
        return tuple(one.name for one in self.table)

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """(K,) smallest and largest values."""
        return np.array([one.low for one in self.table]), np.array([one.high for one in self.table])

    @property
    def step(self) -> Floats:
        """(K,) steps of numerical derivatives."""
        return np.array([one.step for one in self.table])

    @property
    def prior(self) -> tuple[Floats, Floats]:
        """(K,) means and standard deviations that are known beforehand."""
        known = np.array([one.known for one in self.table]).reshape(-1, 2)
        return known[:, 0], known[:, 1]


@dataclass(frozen=True, eq=False)
class ShiftFamily(Family):
    """A registered shift f(t), by u = 1/t: 0 is no shift.

    Attributes:
        fitted: the shift at t = 1, whose scales hold for every t.
    """

    fitted: shifts.FittedShift = field(repr=False)

    table = (Parameter("1/t", 0.0, _LARGEST, 0.003),)

    @classmethod
    def of(cls, name: str, reference: NDArray[np.floating]) -> Self:
        """The shift of that name, with the scales of (N, F) features."""
        return cls(shifts.get(name, 1.0).fit(reference))

    @property
    def name(self) -> str:
        """Of the shift."""
        return self.fitted.name

    def starts(self) -> Floats:
        """A grid in t."""
        return np.array(_GRID)[:, None]

    def apply(self, x: Floats, theta: Floats, seed: Seed) -> Floats:
        """See :class:`Family`."""
        if not theta[0] > 1e-9:
            return x
        steps = tuple(replace(step, t=1.0 / float(theta[0])) for step in self.fitted.steps)
        return shifts.FittedShift(steps).apply(x, noise(seed, 0x5F)).astype(np.float64)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {"kind": "shift", **self.fitted.to_dict()}


@dataclass(frozen=True, eq=False)
class Detector(Family):
    """Scale (1 + a) x, offset x + b σ or Gaussian smearing by s σ of some features.

    Up to a half of the scale, two σ of an offset, one and a half of a smearing.

    Attributes:
        kind: ``scale``, ``offset`` or ``smear``.
        columns: the features that it acts on.
        names: of these features.
        sigma: (F,) standard deviation of all features in MC.
        common: one parameter for all of them, in place of one for each.
        known: mean and standard deviation of each parameter, known beforehand.
    """

    kind: str
    columns: tuple[int, ...]
    names: tuple[str, ...]
    sigma: Floats = field(repr=False)
    common: bool = False
    known: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """As ``--family`` takes it."""
        return f"{self.kind}({', '.join(self.names)}{', common' * self.common})"

    @property
    def table(self) -> tuple[Parameter, ...]:
        """One for each feature, or one for all."""
        limits = {"scale": (-0.5, 1.0, 0.005), "offset": (-2.0, 2.0, 0.005),
                  "smear": (0.0, 1.5, 0.02)}[self.kind]  # fmt: skip
        known = self.known or (0.0, np.inf)
        inside = [", ".join(self.names)] if self.common else self.names
        return tuple(Parameter(f"{self.kind}({name})", *limits, known) for name in inside)

    def starts(self) -> Floats:
        """The identity, and something beside it where the identity is a stationary point."""
        k = len(self.table)
        return np.stack([np.zeros(k), np.full(k, 0.15 if self.kind == "smear" else 0.0)])

    def apply(self, x: Floats, theta: Floats, seed: Seed) -> Floats:
        """See :class:`Family`."""
        columns = list(self.columns)
        value = np.broadcast_to(theta, len(columns)) if self.common else theta
        moved = x.copy()
        if self.kind == "scale":
            moved[:, columns] *= 1 + value
        elif self.kind == "offset":
            moved[:, columns] += value * self.sigma[columns]
        else:
            drawn = noise(seed, 0xD3).standard_normal((len(x), len(self.sigma)))[:, columns]
            moved[:, columns] += value * self.sigma[columns] * drawn
        return moved

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return vars(self) | {"sigma": self.sigma.tolist()}


@dataclass(frozen=True, eq=False)
class FamilyChain(Family):
    """Families one after the other, the first one first; without any, the identity."""

    parts: tuple[Family, ...]

    @property
    def name(self) -> str:
        """The parts, joined with ``+``."""
        return "+".join(part.name for part in self.parts) or "none"

    @property
    def table(self) -> tuple[Parameter, ...]:
        """Those of all parts."""
        return tuple(
            replace(one, name=f"{one.name} of {part.name}" if one.name == "1/t" else one.name)
            for part in self.parts
            for one in part.table
        )

    def starts(self) -> Floats:
        """All combinations of a coarse grid of the parts."""
        grids = [
            np.array(_COARSE)[:, None] if isinstance(part, ShiftFamily) else part.starts()
            for part in self.parts
        ]
        return np.array([np.concatenate([[], *point]) for point in itertools.product(*grids)])

    def apply(self, x: Floats, theta: Floats, seed: Seed) -> Floats:
        """See :class:`Family`."""
        at = 0
        for index, part in enumerate(self.parts):
            k = len(part.table)
            x = part.apply(x, theta[at : at + k], seed + index)
            at += k
        return x

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {"kind": "chain", "parts": [part.to_dict() for part in self.parts]}


@dataclass(frozen=True, eq=False)
class FittedMap(Family):
    """A map that was fitted in its own way, whose parameters are where they are.

    Its other fields are arrays.

    Attributes:
        spikes: feature, value in MC and value in data of what many events share: a default for
            what does not exist, a hard edge. It stays one value.
    """

    letter: ClassVar[str]  # begins the names of the parameters
    spikes: tuple[tuple[int, float, float], ...] = field(default=(), repr=False, kw_only=True)

    def flat(self) -> Floats:
        """All parameters, one after the other."""
        raise NotImplementedError

    @property
    def table(self) -> tuple[Parameter, ...]:
        """As many as there are coefficients."""
        return tuple(Parameter(f"{self.letter}{i}") for i in range(len(self.flat())))

    def starts(self) -> Floats:
        """Where it is."""
        return self.flat()[None]

    def kept(self, x: Floats, moved: Floats, varies: NDArray[np.bool_]) -> Floats:
        """Mapped (N, F) features, but for spikes, missing values and features that never vary."""
        for j, before, after in self.spikes:
            moved[x[:, j] == before, j] = after
        return np.where(np.isfinite(x) & varies, moved, x)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        names = [one.name for one in fields(self) if one.name != "spikes"]
        stored: dict[str, Any] = {name: getattr(self, name).tolist() for name in names}
        return {"kind": self.name} | stored | {"spikes": [list(spike) for spike in self.spikes]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The map that :meth:`to_dict` described."""
        names = [one.name for one in fields(cls) if one.name != "spikes"]
        arrays = {name: np.asarray(stored[name], np.float64) for name in names}
        spikes = tuple((int(j), float(a), float(b)) for j, a, b in stored["spikes"])
        return cls(**arrays, spikes=spikes)


def shift_families() -> tuple[str, ...]:
    """The registered shifts of features, without the identity."""
    return tuple(
        name
        for name in shifts.names()
        if name != "identity" and shifts.registry.lookup(name).map is not None
    )


def same_families(name: str) -> tuple[str, ...]:
    """The families that hold a shift of that name, or of one of those that ``+`` joins.

    ``sine`` and ``sine-third`` are one wave at different t.
    """
    parts = set(name.split("+"))
    waves = {"sine", "sine-third"}
    return tuple(sorted(parts | waves if parts & waves else parts))


def family(text: str, reference: NDArray[np.floating], names: Sequence[str]) -> Family:
    """The family that ``--family`` names.

    Args:
        text: a registered shift; ``scale``, ``offset`` or ``smear``, of all features that vary
            among the events without a missing value, to which maps are fitted (of those that mark
            missing values nothing is measured there), or of those in brackets, with ``common``
            among them for one parameter for all, and ``prior=1.00±0.02`` for what is known of each
            beforehand (``scale(pt_1, m_vis)+smear(pt_1)``); several joined with ``+``.
        reference: (N, F) features of MC, which fix scales.
        names: of the F features.

    Raises:
        ConfigError: no such family or feature.
    """
    table = np.asarray(reference, dtype=np.float64)
    whole = table[np.isfinite(table).all(axis=1)]
    varies = [n for n, column in zip(names, whole.T, strict=True) if np.any(column != column[:1])]
    known = {name: partial(ShiftFamily.of, name, reference) for name in shift_families()}
    return parsed(text, names, np.nan_to_num(np.nanstd(table, axis=0)), known, varies)


def parsed(
    text: str,
    names: Sequence[str],
    sigma: Floats,
    known: Mapping[str, Callable[[], Family]],
    usual: Sequence[str] = (),
) -> Family:
    """The family of a text as :func:`family` takes it.

    Names and (F,) standard deviations in MC are of the features that a detector may act on, the
    ``usual`` ones, or all, where none is named; ``known`` makes each shift by its name.

    Raises:
        ConfigError: no such family or feature.
    """
    usual = usual or names
    parts = [_part(part, names, sigma, known, usual) for part in re.split(r"\+(?![^(]*\))", text)]
    return parts[0] if len(parts) == 1 else FamilyChain(tuple(parts))


def _part(
    text: str,
    names: Sequence[str],
    sigma: Floats,
    shifts_of: Mapping[str, Callable[[], Family]],
    usual: Sequence[str],
) -> Family:
    matched = re.fullmatch(r"\s*([\w-]+)\s*(?:\(([^()]*)\))?\s*", text)
    kind = matched[1] if matched else text
    if matched and kind in _DETECTOR:
        inside = [name.strip() for name in (matched[2] or "").split(",") if name.strip()]
        common = "common" in inside and "common" not in names
        known = [_known(name, kind) for name in inside if name.startswith("prior=")]
        chosen = [
            name
            for name in inside
            if not (common and name == "common") and not name.startswith("prior=")
        ] or list(usual)
        unknown = [name for name in chosen if name not in names]
        if unknown:
            raise ConfigError(
                f"{unknown[0]!r} is no feature of these tensors",
                where="--family",
                mend=f"there are {', '.join(names)}",
            )
        columns = tuple(list(names).index(name) for name in dict.fromkeys(chosen))
        inner = tuple(names[c] for c in columns)
        return Detector(kind, columns, inner, sigma, common, known[-1] if known else None)
    if matched and matched[2] is None and kind in shifts_of:
        return shifts_of[kind]()
    raise ConfigError(
        f"there is no family {text.strip()!r}",
        where="--family",
        mend=f"there are {', '.join((*shifts_of, *_DETECTOR))}, and these joined with +",
    )


def _known(text: str, kind: str) -> tuple[float, float]:
    """``prior=1.00±0.02`` as mean and standard deviation of a parameter; a scale is 1 + a."""
    matched = re.fullmatch(rf"prior=\s*({_NUMBER})\s*(?:±|\+-|\+/-)\s*({_NUMBER})", text)
    if matched is None or not float(matched[2]) > 0:
        raise ConfigError(
            f"{text!r} is no prior", where="--family", mend="write prior=1.00±0.02, or 1.00+-0.02"
        )
    return float(matched[1]) - (kind == "scale"), float(matched[2])
