"""A map that was fitted in its own way: a family whose parameters are where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .families import Family, Parameter

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedMap(Family):
    """What such maps share; the other fields of each are arrays.

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
