"""Pictures that a run takes for another class, side by side, each with both classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..stats.ranking import as_scores, predicted
from ..store.scores.reader import Domain
from .axes.frame import finish, new_axes, picture
from .axes.styles import method_title, readable, scaled
from .jobs import Job, file_name
from .quantities import Quantities

_FIGURES = ("brightness_", "contrast_")  # what is kept of pictures in place of features
_SHOWN = 16
_SIZE = 12.0  # points of a title
_LETTERS = 84  # of that size that fit side by side


@dataclass(frozen=True, eq=False)
class Misclassified:
    """Pictures whose class a network got wrong.

    Attributes:
        images: (n, H, W) or (n, H, W, 3) bytes.
        true: (n,) their class; ``given`` that which the network gave, with probability ``score``.
        wrong: how many there are of ``events``; of these n are kept.
    """

    images: NDArray[np.uint8]
    true: NDArray[np.intp]
    given: NDArray[np.intp]
    score: NDArray[np.float64]
    wrong: int
    events: int


def misclassified_jobs(run: Quantities) -> Iterator[Job]:
    """The pictures that each method gets wrong; none of a run on features or on hits."""
    if not all(name.startswith(_FIGURES) for name in run.scores.features or [""]):
        return
    for domain, where in run.labelled.items():
        for method in run.methods(None, domain):
            title = f"{method_title(method)}, {where}"
            stem = file_name("misclassified", domain, method)
            numbers = partial(_wrong, run, domain, method)
            draw = partial(misclassified, names=run.class_names, title=title)
            simulation = domain == "mc" or run.is_simulation
            yield Job("misclassified", stem, numbers, draw, simulation)


def _wrong(run: Quantities, domain: Domain, method: str) -> Misclassified | None:
    """What a method gets wrong in the test split, that which it was surest of first."""
    test = np.flatnonzero(run.test[domain])
    score = as_scores(run.scores.score(domain, method)[test])
    true, given = run.truth(domain)[test].astype(np.intp), predicted(score)
    sure = np.where(given == true, -1.0, score.max(axis=1))
    wrong = int((given != true).sum())
    most = np.argsort(-sure, kind="stable")[: min(wrong, _SHOWN)]
    if not wrong:
        return None
    place = run.scores.tensor_rows(domain)
    if [view.pictures for view in place.tensors.views] != [True]:
        return None
    rows = place.rows[test[most]]
    order = np.argsort(rows)  # files are read from their beginning to their end
    (images,) = place.tensors.read_views(place.domain, rows[order]).values()
    pixels = np.rint(255 * images[np.argsort(order)]).astype(np.uint8)
    pixels = pixels[:, 0] if pixels.shape[1] == 1 else pixels.transpose(0, 2, 3, 1)
    return Misclassified(pixels, true[most], given[most], sure[most], wrong, len(test))


def misclassified(
    numbers: Misclassified, names: Sequence[str], *, title: str = "", ax: Axes | None = None
) -> Axes:
    """Draw pictures in rows, above each "true → predicted" and the probability of the latter.

    ``names`` are those of the classes; ``title`` stands below: which method and events.
    """
    ax = ax or new_axes(height=7.0)[0]
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
        panel = picture(ax, box, image, cmap="gray", vmin=0, vmax=255)
        words = rf"{readable(names[true])} $\to$ {readable(names[given])}, {100 * score:.0f} %"
        panel.set_title(words, fontsize=size, pad=2.0)
    note = rf"{numbers.wrong} of {numbers.events} wrong: true $\to$ predicted"
    ax.set_xlabel(f"{title}: {note}" if title else note, fontsize=scaled(15.0))
    finish(ax)
    return ax
