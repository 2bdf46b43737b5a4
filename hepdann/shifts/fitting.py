"""A shift before and after it knows the scales of the features."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError
from ..registry import SHIFTS
from ..tensors import Objects, View
from .noise import EventNoise
from .registry import Array, lookup, names, shift_images, shift_objects

_TILE = 65_536  # rows shifted at a time: float64 temporaries stay small
_SMALLEST_T = 1e-6  # a shift of a million times the values themselves


@dataclass(frozen=True)
class Shift:
    """A shift by name and t, not yet fitted to any sample.

    Attributes:
        name: one of :func:`hepdann.shifts.names`.
        t: of the shift; larger t is a smaller shift, ``inf`` is none.
        quantile: the scale s is this quantile of |x|; 1 is the maximum.

    Raises:
        ConfigError: unknown name, t not positive or so small that single precision does not hold
            the shift, quantile outside (0, 1].
    """

    name: str
    t: float
    quantile: float = 1.0

    def __post_init__(self) -> None:
        lookup(self.name)
        if not self.t >= _SMALLEST_T:
            least = f", at least {_SMALLEST_T}" if self.t > 0 else ""
            raise ConfigError(
                f"the t of a shift is positive{least}, not {self.t}",
                where="t",
                mend="larger t is a smaller shift; inf is none",
            )
        if not 0 < self.quantile <= 1:
            raise ConfigError(f"{self.quantile} is outside (0, 1]", where="quantile")

    def fit(self, features: ArrayLike) -> FittedShift:
        """Take the scales from a sample, as a rule the MC training split.

        Args:
            features: (N, F); entries that are not finite are left out.

        Returns:
            The shift with its scale s and standard deviation σ per feature. A feature without a
            finite entry, or with one value alone, has s = 0 and passes unshifted.

        Raises:
            ConfigError: ``features`` is not two-dimensional, or the shift is one of images.
        """
        entry = lookup(self.name)
        if entry.map is None:
            kind = "objects" if entry.objects else "pixels"
            raise ConfigError(
                f"the shift {self.name} acts on {kind}, and these events are features",
                where="train.shift",
                mend="take a shift of features: sine, gaussian, …",
            )
        return self._fit(features)

    def _fit(self, features: ArrayLike) -> FittedShift:
        x = _as_table(features)
        scale, sigma = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        for j in range(x.shape[1]):
            column = x[:, j].astype(np.float64)
            column = column[np.isfinite(column)]
            if column.size and np.ptp(column) > 0:
                size = np.abs(column)
                # A quantile of 0 (more zeros than it leaves room for) is no scale.
                scale[j] = np.quantile(size, self.quantile) or size.max()
                sigma[j] = column.std()
        return FittedShift((Step(self.name, float(self.t), self.quantile, scale, sigma),))

    def of_objects(self, objects: Objects) -> FittedShift:
        """The same for objects and the features of their events; ``apply_objects`` acts.

        Args:
            objects: as a rule those of the MC training split, which give the scales.

        Raises:
            ConfigError: the shift is one of images.
        """
        entry = lookup(self.name)
        if entry.map is None and entry.objects is None:
            raise ConfigError(
                f"the shift {self.name} acts on pixels, and these events have objects",
                where="train.shift",
                mend="take missing-objects, pt-scale, dead-region, or a shift of features",
            )
        tables = [objects.features, *(part.values for part in objects.parts)]
        steps = [self._fit(table).steps[0] for table in tables]
        scale, sigma = (
            np.concatenate([getattr(step, name) for step in steps]) for name in ("scale", "sigma")
        )
        return FittedShift((replace(steps[0], scale=scale, sigma=sigma),))

    def of_images(self) -> FittedShift:
        """The same for images, which need no scales; :meth:`FittedShift.apply_images` acts.

        Raises:
            ConfigError: the shift is one of features or objects.
        """
        if not lookup(self.name).images:
            known = [name for name in names() if lookup(name).images]
            kind = "objects" if lookup(self.name).objects else "features"
            raise ConfigError(
                f"the shift {self.name} acts on {kind}, and these events are images",
                where="train.shift",
                mend=f"there are {', '.join(known)}",
            )
        none = np.empty(0)
        return FittedShift((Step(self.name, float(self.t), self.quantile, none, none),))


@dataclass(frozen=True)
class Composition:
    """Shifts one after the other, the first one first.

    Each is fitted to the same sample: composing fitted shifts is composing functions, and the
    scale of one does not depend on the noise of another.

    Attributes:
        shifts: the parts, in the order in which they act.
    """

    shifts: tuple[Shift, ...]

    @property
    def name(self) -> str:
        """The names of the parts, joined with ``+``."""
        return "+".join(shift.name for shift in self.shifts)

    @property
    def t(self) -> float | None:
        """The t that all parts share, or ``None``."""
        values = {shift.t for shift in self.shifts}
        return values.pop() if len(values) == 1 else None

    def fit(self, features: ArrayLike) -> FittedShift:
        """Take the scales of every part from a sample; see :meth:`Shift.fit`."""
        return _joined(shift.fit(features) for shift in self.shifts)

    def of_images(self) -> FittedShift:
        """The same for images; see :meth:`Shift.of_images`."""
        return _joined(shift.of_images() for shift in self.shifts)

    def of_objects(self, objects: Objects) -> FittedShift:
        """The same for objects; see :meth:`Shift.of_objects`."""
        return _joined(shift.of_objects(objects) for shift in self.shifts)


@dataclass(frozen=True, eq=False)
class Step:
    """One map with its scales: what :class:`FittedShift` applies in turn.

    Attributes:
        name: name of the map.
        t: of the shift.
        quantile: the quantile of |x| that ``scale`` is.
        scale: (F,) float64, s of each feature, in its units.
        sigma: (F,) float64, standard deviation σ_x of each feature, in its units.
    """

    name: str
    t: float
    quantile: float
    scale: NDArray[np.float64]
    sigma: NDArray[np.float64]

    def columns(self, start: int, stop: int) -> Step:
        """The same for some of the features."""
        scale, sigma = self.scale[start:stop], self.sigma[start:stop]
        return replace(self, scale=scale, sigma=sigma)

    def apply(self, x: NDArray[Any], generator: np.random.Generator) -> NDArray[np.float32]:
        """Shift (N, F) features; the generator advances by the same draws whatever is missing."""
        shifted = np.empty(x.shape, dtype=np.float32)
        tiles = ((slice(n, n + _TILE), generator) for n in range(0, len(x), _TILE))
        for tile, part in generator.tiles(_TILE) if isinstance(generator, EventNoise) else tiles:
            shifted[tile] = self._tile(x[tile].astype(np.float64), part)
        return shifted

    def _tile(self, x: Array, generator: np.random.Generator) -> Array:
        entry = lookup(self.name)
        assert entry.map is not None  # as Shift.fit has seen
        passes = ~np.isfinite(x)
        present = np.where(passes, 0.0, x)
        if entry.raw:
            moved = entry.map(present, self.t, generator, self.sigma)
            passes |= self.sigma == 0
        else:
            unit = np.where(self.scale > 0, self.scale, 1.0)
            moved = entry.map(present / unit, self.t, generator) * unit
            passes |= self.scale == 0
        if moved.shape != x.shape:
            raise ConfigError(
                f"the shift {self.name!r} turned an array of shape {x.shape} into {moved.shape}",
                where="shift",
                mend="a shift returns the shape that it is given",
            )
        return np.where(passes, x, moved)


@dataclass(frozen=True, eq=False)
class FittedShift:
    """A shift with fixed scales, one and the same map for every split.

    Attributes:
        steps: the maps, in the order in which they act; one, unless shifts were composed.
    """

    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """Name of the shift; composed ones are joined with ``+``."""
        return "+".join(step.name for step in self.steps)

    def apply(self, x: ArrayLike, generator: np.random.Generator) -> NDArray[np.float32]:
        """Shift features.

        A pure function: ``x`` stays as it is, and a generator in the same state gives the same
        result. Computed in float64, rounded once a step.

        Args:
            x: (N, F), of any real type; NaN and infinities pass unshifted.
            generator: advanced by the draws of every step.

        Returns:
            (N, F) float32.

        Raises:
            ConfigError: ``x`` is no table of as many features as the shift was fitted to.
        """
        table = _as_table(x)
        width = len(self.steps[0].scale)
        if table.shape[1] != width:
            raise ConfigError(
                f"the shift was fitted to {width} features and is applied to {table.shape[1]}",
                where="shift",
            )
        for step in self.steps:
            table = step.apply(table, generator)
        return np.asarray(table, dtype=np.float32)

    def apply_images(
        self,
        views: Sequence[View],
        images: Mapping[str, NDArray[np.float32]],
        event_id: NDArray[np.uint64],
        seed: int,
    ) -> None:
        """Shift the energies of images (n, C, H, W) of each view, in place.

        A random number belongs to its event, by the (n,) identities, and pixel: blocks, rows in any
        order and events that are read twice give the same images. The views are those of
        :attr:`hepdann.tensors.Tensors.views`.

        Raises:
            ConfigError: there are no energies, or the shift was fitted to features.
        """
        steps = [(step.name, lookup(step.name), step.t) for step in self.steps]
        if not all(entry.images for _, entry, _ in steps):
            raise ConfigError(f"the shift {self.name} acts on features", where="shift")
        shift_images(steps, views, images, event_id, seed)

    def apply_objects(self, objects: Objects, event_id: NDArray[np.uint64], seed: int) -> Objects:
        """Objects and features of N events, of (N,) identities; see :meth:`Shift.of_objects`.

        Raises:
            ConfigError: the objects lack the feature that the shift acts on.
        """
        return shift_objects([(s, lookup(s.name)) for s in self.steps], objects, event_id, seed)

    @property
    def drawn_in_turn(self) -> bool:
        """Whether a step may draw for one row after the other: a map of features by a user."""
        return any(lookup(s.name).map and s.name not in SHIFTS.own for s in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Everything :meth:`from_dict` needs, JSON-serialisable; t = ∞ becomes ``"inf"``."""
        return {
            "steps": [
                {
                    "name": step.name,
                    "t": step.t if math.isfinite(step.t) else "inf",
                    "quantile": step.quantile,
                    "scale": step.scale.tolist(),
                    "sigma": step.sigma.tolist(),
                }
                for step in self.steps
            ]
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The shift that :meth:`to_dict` described.

        Raises:
            ConfigError: a map of that name is not registered here.
        """
        steps = []
        for entry in stored["steps"]:
            lookup(entry["name"])
            steps.append(
                Step(
                    entry["name"],
                    float(entry["t"]),
                    float(entry["quantile"]),
                    np.asarray(entry["scale"], dtype=np.float64),
                    np.asarray(entry["sigma"], dtype=np.float64),
                )
            )
        return cls(tuple(steps))


def _joined(parts: Iterable[FittedShift]) -> FittedShift:
    return FittedShift(tuple(step for part in parts for step in part.steps))


def _as_table(x: ArrayLike) -> NDArray[Any]:
    table = np.asarray(x)
    if table.ndim != 2:
        raise ConfigError(
            f"shifts act on (events, features), not on an array of shape {table.shape}",
            where="shift",
        )
    return table
