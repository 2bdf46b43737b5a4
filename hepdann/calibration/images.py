"""Families of maps of images, by the numbers that sum an event up: energy scale and the like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import shifts
from ..errors import ConfigError, HepdannError
from ..shifts.noise import Seed
from ..shifts.registry import shift_images
from ..tensors import EventBlocks, Source, Tensors, image_figures, read_images
from .families import Family, Parameter

Floats = NDArray[np.float64]

_MOST = 3_000  # events of MC whose images are shifted
_GRID = np.array([0.0, 0.03, 0.1, 0.2, 0.35, 0.5])  # of 1/t
_SCALE = np.array([-0.3, -0.1, 0.0, 0.1, 0.5])  # of 1/t of a scale
_YIELD = "light-yield"  # a scale of each view


@dataclass(frozen=True, eq=False)
class ImageFamily(Family):
    """A shift of images, as it changes what sums some events up.

    Attributes:
        shift: its name.
        values: (G,) of its parameters 1/t, rising.
        figures: (G, N, F) of the events at each; between them they are interpolated.
        parts: of each parameter the figures that it changes.
    """

    shift: str
    values: Floats
    figures: NDArray[np.float32] = field(repr=False)
    parts: Mapping[str, NDArray[np.intp]] = field(repr=False)

    @property
    def name(self) -> str:
        """That of the shift."""
        return self.shift

    @property
    def table(self) -> tuple[Parameter, ...]:
        """1/t: the relative scale or smearing, the share of dead channels; of all views or each."""
        low, high = self.values[[0, -1]]
        return tuple(Parameter(name, low, high, 0.01) for name in self.parts)

    def starts(self) -> Floats:
        """The grid, the same value of all parameters."""
        return np.repeat(self.values[:, None], len(self.parts), axis=1)

    @cached_property
    def _rows(self) -> dict[bytes, int]:
        plain = self.figures[int(np.searchsorted(self.values, 0.0))]
        return {row.tobytes(): number for number, row in enumerate(plain)}

    def apply(self, x: Floats, theta: Floats, seed: Seed) -> Floats:  # noqa: ARG002
        """Figures of events that are among those shifted, as they are at a value.

        Raises:
            HepdannError: an event is not among them.
        """
        try:
            rows = [self._rows[row.tobytes()] for row in np.asarray(x, np.float32)]
        except KeyError as error:
            raise HepdannError("these are not the events whose images were shifted") from error
        plain = self.figures[int(np.searchsorted(self.values, 0.0))]
        moved = np.asarray(plain[rows], dtype=np.float64)
        for value, columns in zip(theta, self.parts.values(), strict=True):
            above = int(np.clip(np.searchsorted(self.values, value), 1, len(self.values) - 1))
            low, high = self.values[above - 1 : above + 1]
            share = (value - low) / (high - low)
            first, second = self.figures[above - 1 : above + 1, :, columns][:, rows]
            moved[:, columns] = (1 - share) * first + share * second
        return moved

    def to_dict(self) -> dict[str, Any]:
        """It maps the events that it was made of, and no others."""
        return {"kind": "images", "name": self.name}


def image_families(
    file: Tensors, names: Sequence[str] | None, seed: int
) -> tuple[Source, dict[str, ImageFamily]]:
    """Some MC events, described by their figures, and the shifts of their images.

    Args:
        file: holds the MC.
        names: of shifts of images; ``None`` for all that are registered.
        seed: of the random part of shifts.

    Raises:
        ConfigError: a shift of that name is not registered, or not of images.
    """
    known = [n for n in shifts.names() if shifts.registry.lookup(n).pixels is not None]
    known += [_YIELD] if len(file.views) > 1 else []
    for name in names or ():
        if name not in (*known, "none"):
            raise ConfigError(
                f"{name} is no shift of images",
                where="--family",
                mend=f"there are {', '.join(known)}",
            )
    events, rows = EventBlocks(file, "mc", labelled=True).sample(_MOST)
    assert isinstance(events, Source)
    event_id = file.column("mc", "event_id")
    features = events.features.reshape(len(events), -1)
    labels = [""] * features.shape[1]

    @cache
    def figures(name: str, value: float) -> NDArray[np.float32]:
        def change(images: Any, part: NDArray[np.int64]) -> Any:
            step = (name, shifts.registry.lookup(name), 1.0 / value)
            shift_images([step], file.views, images, event_id[part], seed)
            return images

        images = read_images(file, "mc", rows, change if value else None)
        labels[features.shape[1] :], sums = image_figures(images, file.views)
        return np.concatenate([features, sums], axis=1)

    plain, made = figures("", 0.0), {}
    for name in known if names is None else [n for n in names if n != "none"]:
        single = name != _YIELD
        shift = name if single else "energy-scale"
        values = _SCALE if shift == "energy-scale" else _GRID
        shifted = [figures(shift, float(v)) if v else plain for v in values]
        ends = {name: ""} if single else {f"{name}({v.name})": f"_{v.name}" for v in file.views}
        parts = {
            parameter: np.flatnonzero([label.endswith(end) for label in labels])
            for parameter, end in ends.items()
        }
        made[name] = ImageFamily(name, values, np.stack(shifted), parts)
    return events.with_features(plain), made
