"""Figures of a run whose classes are places in a detector: which is taken for which, and where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .. import evaluation
from ..evaluation import DataMC, EfficiencyProfile
from ..evaluation.minerva import SEGMENT_PLANES, plane_residual, residual_profile, segment_profile
from ..stats.ranking import as_scores, predicted
from ..store.scores_reader import Domain
from .axes.frame import finish, new_axes, picture
from .axes.styles import method_title, readable, scaled
from .configured import confusion_of
from .figures.matrices import Normalise, confusion
from .figures.profiles import efficiency
from .figures.stacks import data_mc
from .jobs import FigureJob, file_name
from .quantities import Quantities

Floats = NDArray[np.floating]

_PANELS: tuple[Normalise, ...] = ("purity", "efficiency", "log")
_SHARES: tuple[Literal["purity", "efficiency"], ...] = ("purity", "efficiency")
_PLANES = ("planecode", "planecodes")
_PLACES = ("segment ", "plane ")  # so begin the names of classes that are places
_BINS = 8


def segment_jobs(run: Quantities) -> Iterator[FigureJob]:
    """The figures of a run whose classes are places; none of another."""
    places = all(name.startswith(_PLACES) for name in run.scores.classes)
    if not places and not run.scores.decisions and not set(_PLANES) & set(run.scores.spectators):
        return
    for domain, where in run.labelled.items():
        for method in _methods(run, domain):
            names = run.class_names
            names = (*names, "none") if method in run.scores.decisions else names
            title = f"{method_title(method)}, {where}"
            matrix = partial(
                confusion, names=names, title=title, what="segment", given="reconstructed"
            )
            for panel in _PANELS:
                stem = file_name("confusion", panel, domain, method)
                numbers = partial(confusion_of, run, domain, method)
                yield FigureJob("segments", stem, numbers, partial(matrix, normalise=panel))
        for what in _SHARES:
            draw = partial(efficiency, name="Segment", what=what.capitalize(), title=where)
            yield FigureJob(
                "segments", f"{what}_{domain}", partial(_profiles, run, domain, what), draw
            )
    for method in (*run.scores.decisions, *run.candidates):
        draw = partial(
            data_mc, name="Reconstructed segment", data_name=run.target_name,
            colours=run.class_colours, title=method_title(method),
        )  # fmt: skip
        stem, given = file_name("data_mc_segment", method), partial(_reconstructed, run, method)
        yield FigureJob("segments", stem, given, draw, run.is_simulation)
    on_mc = partial(efficiency, title="MC, test split")
    plane = next((name for name in _PLANES if name in run.scores.spectators), None)
    if plane is not None and len(run.scores.classes) == len(SEGMENT_PLANES):
        draw = partial(
            on_mc, name="Reconstructed segment - true plane", unit="planes",
            what="Share of events", log=True,
        )  # fmt: skip
        yield FigureJob("segments", "residual_planes", partial(_residuals, run, plane), draw)
    if "W" in run.scores.spectators:
        draw = partial(on_mc, name="$W$", unit="GeV", what="Accuracy")
        yield FigureJob("segments", "accuracy_W", partial(_accuracies, run), draw)


def _methods(run: Quantities, domain: Domain) -> tuple[str, ...]:
    return (*run.scores.decisions, *run.methods(None, domain))


def _profiles(
    run: Quantities, domain: Domain, what: Literal["purity", "efficiency"]
) -> dict[str, EfficiencyProfile]:
    truth = run.test_truth(domain)
    return {
        method: segment_profile(run.prediction(domain, method), *truth, what=what)
        for method in _methods(run, domain)
    }


def _reconstructed(run: Quantities, method: str) -> DataMC:
    label, weight = run.test_truth("mc")
    mc, target = (predicted(run.prediction(d, method)).astype(float) for d in ("mc", "target"))
    edges = np.arange(len(run.scores.classes) + 1) - 0.5
    other = run.scores.column("target", "weight")[run.test["target"]]
    names = run.class_names
    return evaluation.data_mc(mc, weight, label, names, target, other, edges, normalise=True)


def _residuals(run: Quantities, plane: str) -> dict[str, EfficiencyProfile]:
    _, weight = run.test_truth("mc")
    planes = run.scores.spectator("mc", plane)[run.test["mc"]]
    profiles = {}
    for method in _methods(run, "mc"):
        given = predicted(run.prediction("mc", method))
        known = given < len(SEGMENT_PLANES)
        residual = plane_residual(given[known], planes[known])
        profiles[method] = residual_profile(residual, weight[known])
    return profiles


def _accuracies(run: Quantities) -> dict[str, EfficiencyProfile] | None:
    label, weight = run.test_truth("mc")
    values = run.scores.spectator("mc", "W")[run.test["mc"]].astype(np.float64)
    edges = np.unique(np.nanquantile(values, np.linspace(0.001, 0.999, _BINS + 1)))
    if len(edges) < 2:
        return None
    every = np.ones(len(label), bool)
    return {
        method: evaluation.efficiency_profile(
            values, predicted(run.prediction("mc", method)) == label, every, weight, edges, 0.5
        )
        for method in _methods(run, "mc")
    }


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


def misclassified_jobs(run: Quantities) -> Iterator[FigureJob]:
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
            yield FigureJob("misclassified", stem, numbers, draw, simulation)


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
