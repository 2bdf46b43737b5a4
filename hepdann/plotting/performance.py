"""Figures that judge a run's scores: calibration, confusion, efficiencies, what inputs carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .. import evaluation, stats
from ..evaluation import Calibration, Importance, Profile
from ..evaluation.latent import EMBEDDINGS, Embedding, embed
from ..stats import Confusion, quantile_edges
from ..store.paths import RunPaths
from ..store.scores.reader import Domain
from .axes.styles import method_title, sentence
from .figures.latent import latent
from .figures.matrices import confusion, correlation
from .figures.profiles import calibration, efficiency, importance
from .jobs import Job, file_name
from .quantities import Quantities

_WORKING_POINT = 0.7  # signal efficiency of the profiles
_BINS = 8  # of a profile, with equally many events
_ROWS = 4000  # events that are shuffled


def calibration_jobs(run: Quantities) -> Iterator[Job]:
    """Share of signal against score."""
    for domain, where in run.labelled:
        for index, name, suffix in run.signals:
            yield Job(
                "calibration",
                file_name("calibration", domain, suffix),
                partial(_calibration, run, domain, index),
                partial(calibration, signal=name, title=where),
                True,
            )


def confusion_jobs(run: Quantities) -> Iterator[Job]:
    """Which class is taken for which."""
    for domain, where in run.labelled:
        for method in run.methods(None, domain):
            title = f"{method_title(method)}, {where}"
            yield Job(
                "confusion",
                file_name("confusion", domain, method),
                partial(confusion_of, run, domain, method),
                partial(confusion, names=run.class_names, title=title),
                True,
            )


def _calibration(run: Quantities, domain: Domain, index: int) -> dict[str, Calibration]:
    rows = run.test[domain]
    label = (run.truth(domain)[rows] == index).astype(np.intp)
    weight = run.scores.column(domain, "weight")[rows]
    methods = run.methods(None, domain)
    return {
        method: evaluation.calibration(run.scores.score(domain, method)[rows, index], label, weight)
        for method in methods
    }


def confusion_of(run: Quantities, domain: Domain, method: str) -> Confusion:
    """Which class a method takes for which, on the test split."""
    rows = run.test[domain]
    return stats.confusion(
        run.scores.score(domain, method)[rows],
        run.truth(domain)[rows],
        run.scores.column(domain, "weight")[rows],
    )


def correlation_jobs(run: Quantities) -> Iterator[Job]:
    """Linear correlations of the features, and how they differ."""
    features = run.scores.features
    names = [run.tick_title(feature) for feature in features]

    def matrix(domain: Domain) -> NDArray[np.float64]:
        return stats.correlation(
            run.scores.column(domain, "features"), run.scores.column(domain, "weight")
        )

    def draw(title: str, difference: bool, numbers: dict[str, Any]) -> Axes:
        return correlation(numbers["correlation"], names, difference=difference, title=title)

    for name, title, values in (
        ("mc", "MC", partial(matrix, "mc")),
        ("target", run.target_name, partial(matrix, "target")),
        ("difference", f"{run.target_name} - MC", lambda: matrix("target") - matrix("mc")),
    ):
        yield Job(
            "correlation",
            f"correlation_{name}",
            partial(_named, features, values),
            partial(draw, title, name == "difference"),
            name == "mc" or run.is_simulation,
        )


def _named(
    features: Sequence[str], matrix: Callable[[], NDArray[np.float64]]
) -> dict[str, Sequence[str] | NDArray[np.float64]]:
    """A matrix with the names of its rows and columns."""
    return {"features": features, "correlation": matrix()}


def efficiency_jobs(run: Quantities) -> Iterator[Job]:
    """Signal efficiency and mistag rate of each method against each feature, on MC."""
    if len(run.scores.classes) != 2:
        return
    background, signal = run.class_names
    title = rf"MC, {100 * _WORKING_POINT:.0f}% {signal} efficiency"
    for index, feature in enumerate(run.scores.features):
        name, unit = run.title(feature)
        for which, label, what in ((1, signal, "efficiency"), (0, background, "mistag rate")):
            yield Job(
                "efficiency",
                file_name("efficiency" if which else "mistag", feature),
                partial(_profiles, run, index, which),
                partial(
                    efficiency,
                    name=name,
                    unit=unit,
                    what=sentence(f"{label} {what}"),
                    title=title,
                    log=not which,
                ),
                True,
            )


def _profiles(run: Quantities, index: int, of_signal: int) -> dict[str, Profile] | None:
    variable = run.scores.column("mc", "features")[:, index]
    # bins with about equally many events, without the outermost permille
    edges = quantile_edges(variable[run.test["mc"]], np.linspace(0.001, 0.999, _BINS + 1))
    if len(edges) < 2:
        return None
    profiles = {
        method: evaluation.run_profile(
            run.scores, method, {"mc": variable}, edges, of_signal=bool(of_signal),
            working_point=_WORKING_POINT,
        )
        for method in run.methods(None, "mc")
    }  # fmt: skip
    return {method: profile for method, profile in profiles.items() if profile is not None}


def importance_jobs(run: Quantities) -> Iterator[Job]:
    """What each feature carries, of a run that has its networks."""
    if not RunPaths(run.folder).model.exists():
        return
    titles = {feature: run.tick_title(feature) for feature in run.scores.features}
    for method in run.methods(None, "mc"):
        yield Job(
            "importance",
            file_name("importance", method),
            partial(_importance, run, method),
            partial(_draw_importance, titles, method_title(method)),
            run.is_simulation,
        )


def _draw_importance(
    titles: dict[str, str], title: str, numbers: dict[str, list[Importance]]
) -> Axes:
    return importance(numbers["classes"], numbers["domains"], titles=titles, title=title)


def _importance(run: Quantities, method: str) -> dict[str, list[Importance]]:
    """Of the label head on MC test events; of trees that tell MC from target."""
    from ..inference import open_predictor

    predictor = open_predictor(run.folder, method, "source")
    rows = np.flatnonzero(run.test["mc"])[:_ROWS]
    event_id = run.scores.column("mc", "event_id")[rows]
    last = len(run.scores.classes) - 1
    classes = evaluation.permutation_importance(
        lambda x: predictor.score(x, event_id)[:, last],
        run.scores.column("mc", "features")[rows],
        run.truth("mc")[rows] == last,
        run.scores.features,
        run.scores.column("mc", "weight")[rows],
    )
    domains = evaluation.domain_importance(
        run.scores.events("mc"), run.scores.events("target"), run.scores.features
    )
    return {"classes": classes, "domains": domains}


def latent_jobs(run: Quantities) -> Iterator[Job]:
    """The feature layer of source-only beside that of each method that adapts."""
    before = "source-only"
    if before not in run.scores.methods:
        return
    plane = cache(partial(embed, run.scores))  # source-only's is in every figure
    draw = partial(latent, classes=run.palette, data_name=run.target_name)
    for method in (m for m in run.methods(None, "mc") if m != before):
        for kind in EMBEDDINGS:
            numbers = partial(_planes, partial(plane, kind=kind), (before, method))
            name = file_name("latent", kind, method)
            yield Job("latent", name, numbers, draw, run.is_simulation)


def _planes(
    plane: Callable[[str], Embedding | None], methods: Sequence[str]
) -> dict[str, Embedding] | None:
    """The embedding of each method; ``None`` if one has none."""
    embeddings: dict[str, Embedding] = {}
    for method in methods:
        if (embedding := plane(method)) is None:
            return None
        embeddings[method] = embedding
    return embeddings
