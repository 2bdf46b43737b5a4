"""Pictures side by side, each with its class and what it was taken for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..axes.frame import finish, new_axes
from ..axes.styles import readable, scaled

_SIZE = 12.0  # points of a title
_LETTERS = 84  # of that size that fit side by side


@dataclass(frozen=True, eq=False)
class Misclassified:
    """Pictures whose class a network got wrong.

    Attributes:
        images: (n, H, W) or (n, H, W, 3) bytes.
        true: (n,) their class.
        given: (n,) the class that the network gave.
        score: (n,) its probability.
        wrong: how many there are, of which n are kept.
        events: of how many.
    """

    images: NDArray[np.uint8]
    true: NDArray[np.intp]
    given: NDArray[np.intp]
    score: NDArray[np.float64]
    wrong: int
    events: int


def misclassified(
    numbers: Misclassified, names: Sequence[str], *, title: str = "", ax: Axes | None = None
) -> Axes:
    """Draw pictures in rows, above each "true → predicted" and the probability of the latter.

    Args:
        numbers: the pictures.
        names: of the classes.
        title: below the pictures: which method and events.
        ax: where to draw; by default a new figure.

    Returns:
        The axes, in which each picture has axes of its own.
    """
    if ax is None:
        (ax,) = new_axes(height=7.0)
    ax.set(xticks=[], yticks=[], frame_on=False)
    ax.minorticks_off()
    columns = max(1, int(np.ceil(np.sqrt(len(numbers.images)))))
    rows = -(-len(numbers.images) // columns)
    longest = columns * (2 * max(map(len, names)) + len(" → , 100 %"))
    size = scaled(_SIZE * min(1.0, _LETTERS / longest))
    shown = zip(numbers.images, numbers.true, numbers.given, numbers.score, strict=True)
    for place, (image, true, given, score) in enumerate(shown):
        row, column = divmod(place, columns)
        box = ((column + 0.05) / columns, 1 - (row + 0.97) / rows, 0.9 / columns, 0.75 / rows)
        panel = ax.inset_axes(box)
        panel.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        panel.set(xticks=[], yticks=[])
        panel.minorticks_off()
        words = rf"{readable(names[true])} $\to$ {readable(names[given])}, {100 * score:.0f} %"
        panel.set_title(words, fontsize=size, pad=2.0)
    note = rf"{numbers.wrong} of {numbers.events} wrong: true $\to$ predicted"
    ax.set_xlabel(f"{title}: {note}" if title else note, fontsize=scaled(15.0))
    finish(ax)
    return ax
