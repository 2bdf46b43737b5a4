"""Maps of objects, MC → data: some are lost, and their features are scaled, smeared or mapped.

They are fitted to the distributions of what sums an event up, and act on the objects themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import shifts
from ..errors import ConfigError
from ..shifts.noise import EventSeed, Seed, seed_of_table
from ..tensors import Collection, Objects, Source, Target, object_figures
from .families import Detector, Family, FamilyChain, Parameter, parsed

Floats = NDArray[np.float64]

_SHARES = 0.0, 0.08, 0.3  # 1/t from which a fit begins, of what loses objects
_SCALES = -0.4, 0.0, 0.5  # and of what scales them
OF_OBJECTS = "objects-"  # begins the kinds of families of objects


def figures(inputs: Objects | Floats) -> Floats:
    """(N, F) what sums objects up, 0 where there is none; of features, these themselves."""
    if not isinstance(inputs, Objects):
        return inputs
    sums = np.nan_to_num(object_figures(inputs, detailed=True)[1])
    return np.concatenate([inputs.features, sums], axis=1, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class ObjectTarget(Target):
    """Events whose features sum their objects up.

    Attributes:
        objects: of these events, with the features of the file.
    """

    objects: Objects = field(kw_only=True)

    @classmethod
    def of(cls, events: Target, objects: Objects) -> Self:
        """Events with their objects."""
        features = figures(objects).astype(np.float32)
        return cls(**vars(events) | {"features": features, "objects": objects})

    def take(self, rows: slice | NDArray[Any]) -> Self:
        """The events at ``rows``, with their objects."""
        return replace(super().take(rows), objects=self.objects.take(rows))


@dataclass(frozen=True, eq=False)
class ObjectSource(ObjectTarget, Source):
    """Likewise, with labels."""


def inputs_of(events: Target) -> Any:
    """What families map of events: their objects, or their features in double precision."""
    if isinstance(events, ObjectTarget):
        return events.objects
    return np.asarray(events.features, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class ObjectShift(Family):
    """A registered shift of objects, by 1/t; of a scale it may be negative.

    Attributes:
        fitted: the shift at t = 1.
        collections: what the objects are.
    """

    fitted: shifts.FittedShift = field(repr=False)
    collections: tuple[Collection, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """Of the shift."""
        return self.fitted.name

    @property
    def table(self) -> tuple[Parameter, ...]:
        """1/t: the share that is lost, one object after the other, or the relative scale."""
        low, high = (-0.8, 2.0) if self.name == "pt-scale" else (0.0, 0.9)
        return (Parameter(self.name, low, high, 0.02),)

    def starts(self) -> Floats:
        """A few values."""
        return np.array(_SCALES if self.name == "pt-scale" else _SHARES)[:, None]

    def apply(self, x: Any, theta: Floats, seed: Seed) -> Any:
        """Map objects; a random number is that of an event, or of its place among them."""
        if abs(theta[0]) < 1e-9:
            return x
        steps = tuple(replace(step, t=1.0 / float(theta[0])) for step in self.fitted.steps)
        if not isinstance(seed, EventSeed):
            seed = EventSeed(seed, np.arange(len(x), dtype=np.uint64))
        named = replace(x, collections=self.collections)
        moved = shifts.FittedShift(steps).apply_objects(named, seed.event_id, seed.seed)
        return replace(moved, collections=x.collections)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        named = [[one.name, list(one.features), one.most] for one in self.collections]
        return {"kind": f"{OF_OBJECTS}shift", "collections": named, **self.fitted.to_dict()}


@dataclass(frozen=True, eq=False)
class ObjectDetector(Detector):
    """A scale, offset or smearing; its columns are those of all tables of the objects in turn."""

    def apply(self, x: Any, theta: Floats, seed: Seed) -> Any:
        """Map objects."""
        assert isinstance(x, Objects)
        spans = list(pairwise(accumulate((t.shape[1] for t in x.tables), initial=0)))

        def change(number: int, table: NDArray[np.float32]) -> Floats:
            columns = slice(*spans[number])
            wide = np.zeros((len(table), len(self.sigma)))
            wide[:, columns] = table
            of_table = seed_of_table(seed, x, number)
            return Detector.apply(self, wide, theta, of_table)[:, columns]

        return x.mapped(change)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return super().to_dict() | {"kind": f"{OF_OBJECTS}{self.kind}"}


def object_families(objects: Objects) -> tuple[str, ...]:
    """The shifts of objects that these have features for, and all of them one after the other."""
    few = objects.take(slice(0, 1))

    def acts(name: str) -> bool:
        try:
            _shift(name, few).apply(few, np.full(1, 0.1), 0)
        except ConfigError:
            return False
        return True

    named = [n for n in shifts.names() if shifts.registry.lookup(n).objects is not None]
    known = tuple(filter(acts, named))
    return (*known, "+".join(known)) if len(known) > 1 else known


def _shift(name: str, objects: Objects) -> ObjectShift:
    return ObjectShift(shifts.get(name, 1.0).of_objects(objects), objects.collections)


def object_family(text: str, objects: Objects, names: Sequence[str]) -> Family:
    """The family that ``--family`` names, of objects, which fix scales.

    The text is a shift of objects or of features; ``scale``, ``offset`` or ``smear`` as
    :func:`.family` takes them. A feature of objects is named as the file names it, where several
    collections have one of that name ``jets.pt``; the names are of features, those of the event
    first.

    Raises:
        ConfigError: no such family or feature.
    """
    plain = [(one.name, feature) for one in objects.collections for feature in one.features]
    names = names[: objects.features.shape[1]]
    count = Counter([*names, *(feature for _, feature in plain)])
    full = (*names, *(f if count[f] == 1 else f"{one}.{f}" for one, f in plain))
    sigma = [np.nanstd(t.astype(np.float64), axis=0) if len(t) else 0 * t.sum(0)
             for t in objects.tables]  # fmt: skip
    usable = [n for n in shifts.names() if not shifts.registry.lookup(n).images]
    known = {name: partial(_shift, name, objects) for name in usable}
    made = parsed(text, full, np.nan_to_num(np.concatenate(sigma)), known)
    parts = made.parts if isinstance(made, FamilyChain) else (made,)
    parts = tuple(ObjectDetector(**vars(p)) if isinstance(p, Detector) else p for p in parts)
    return FamilyChain(parts) if len(parts) > 1 else parts[0]
