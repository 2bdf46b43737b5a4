"""Images moved by the symmetries of a detector, another way each time they are trained on.

A tracker of planes whose strips lie at 0 and ± 60° looks the same after half a turn about the
beam, which reverses the strips of every plane; and an event that is moved across the beam looks
the same but for its place. Where along the beam its hits lie never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .event_stream import Drawn

# strips by which a view moves, (along x, across it): x, x/2 + √3/2 y, x/2 - √3/2 y
_STEPS = {"x": (2, 0), "u": (1, 1), "v": (1, -1)}


@dataclass(frozen=True, eq=False)
class Augment:
    """What is done to each image that is trained on; labels and weights stay as they are.

    Attributes:
        views: name, channels, strips and planes of each, in the order of a row of pixels.
        rotate: half of the events are turned by 180° about the beam.
        shift: strips that an event is moved at most, in any view; hits that leave a view are lost.

    Raises:
        ConfigError: events of such views cannot be moved.
    """

    views: Sequence[tuple[str, int, int, int]]
    rotate: bool = False
    shift: int = 0
    _strip: NDArray[np.int32] = field(init=False, repr=False)
    _view: NDArray[np.int32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        strange = [name for name, *_ in self.views if name not in _STEPS]
        if self.shift and strange:
            raise ConfigError(
                f"nobody knows how the strips of view {strange[0]} lie",
                where="train.augment.shift",
                mend="name the views x, u and v (at 0 and ± 60°), or leave it out",
            )
        strips = [
            np.tile(np.repeat(np.arange(height), width), channels)
            for _, channels, height, width in self.views
        ]
        views = [np.full(len(part), number) for number, part in enumerate(strips)]
        # by the place of a pixel in a row
        object.__setattr__(self, "_strip", np.concatenate(strips).astype(np.int32))
        object.__setattr__(self, "_view", np.concatenate(views).astype(np.int32))

    def draw(self, generator: np.random.Generator, events: int) -> Drawn:
        """What will be done to some events, (n, 3): a turn or none, steps along x and across."""
        turned = generator.random(events) < 0.5 if self.rotate else np.zeros(events, np.bool_)
        most = self.shift // 2
        steps = generator.integers(-most, most + 1, (events, 2))
        return np.column_stack([turned, steps]).astype(np.int16)

    def move(
        self, place: NDArray[np.int64], value: NDArray[np.float32], drawn: Drawn
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Move the hits of n events.

        Args:
            place: of each hit in the flattened (n, F) array of their pixels.
            value: of each hit.
            drawn: (n, 3), what :meth:`draw` gave.

        Returns:
            Place and value of those that are still in their view.
        """
        event, pixel = np.divmod(place, len(self._strip))
        view, strip = self._view[pixel], self._strip[pixel]
        last = np.array([height - 1 for _, _, height, _ in self.views], np.int32)
        planes = np.array([width for *_, width in self.views], np.int32)
        steps = np.array([_STEPS.get(name, (0, 0)) for name, *_ in self.views], np.int32)
        moved = drawn[:, 1:].astype(np.int32) @ steps.T  # (n, views)
        turned = drawn[:, 0].astype(np.bool_)[event]
        new = np.where(turned, last[view] - strip, strip) + moved[event, view]
        inside = (new >= 0) & (new <= last[view])
        to = place + (new - strip).astype(np.int64) * planes[view]
        return to[inside], value[inside]
