"""Figures that judge a run: losses, calibration, correlations, importance, the feature layer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .. import evaluation, stats
from ..evaluation import Calibration, Importance
from ..evaluation.curves import learning_curves
from ..evaluation.latent import EMBEDDINGS, Embedding, Kind, embed
from ..store.paths import RunPaths
from ..store.scores.reader import Domain
from .axes.styles import method_title
from .figures.latent import latent
from .figures.losses import loss
from .figures.matrices import correlation
from .figures.profiles import calibration, importance
from .jobs import Job, file_name
from .quantities import Quantities

_ROWS = 4000  # events that are shuffled


def loss_jobs(run: Quantities) -> Iterator[Job]:
    """The losses, if the run has a history."""
    path = RunPaths(run.folder).history
    if path.exists():  # the domain error is that of MC and target
        yield Job("loss", "loss", lambda: learning_curves(path), loss, run.is_simulation)


def calibration_jobs(run: Quantities) -> Iterator[Job]:
    """Share of signal against score."""

    def numbers(domain: Domain, index: int) -> dict[str, Calibration]:
        rows = run.test[domain]
        label = (run.truth(domain)[rows] == index).astype(np.intp)
        weight = run.scores.column(domain, "weight")[rows]
        return {
            m: evaluation.calibration(run.scores.score(domain, m)[rows, index], label, weight)
            for m in run.methods(None, domain)
        }

    for domain, where in run.labelled.items():
        for index, name, suffix in run.signals:
            stem, draw = file_name("calibration", domain, suffix), partial(calibration, title=where)
            given = partial(numbers, domain, index)
            yield Job("calibration", stem, given, partial(draw, signal=name))


def correlation_jobs(run: Quantities) -> Iterator[Job]:
    """Linear correlations of the features, and how they differ."""
    features = run.scores.features
    names = [run.tick_title(feature) for feature in features]

    def matrix(domain: Domain) -> NDArray[np.float64]:
        columns = (run.scores.column(domain, name) for name in ("features", "weight"))
        return stats.correlation(*columns)

    def numbers(which: str) -> dict[str, Any]:
        if which == "difference":
            return {"features": features, "correlation": matrix("target") - matrix("mc")}
        return {"features": features, "correlation": matrix("mc" if which == "mc" else "target")}

    def draw(title: str, difference: bool, numbers: dict[str, Any]) -> Axes:
        return correlation(numbers["correlation"], names, difference=difference, title=title)

    titles = {
        "mc": "MC", "target": run.target_name, "difference": f"{run.target_name} - MC",
    }  # fmt: skip
    for which, title in titles.items():
        drawn = partial(draw, title, which == "difference")
        simulation = which == "mc" or run.is_simulation
        yield Job("correlation", f"correlation_{which}", partial(numbers, which), drawn, simulation)


def importance_jobs(run: Quantities) -> Iterator[Job]:
    """What each feature carries, of a run that has its networks."""
    if not RunPaths(run.folder).model.exists():
        return
    titles = {feature: run.tick_title(feature) for feature in run.scores.features}

    def draw(method: str, found: dict[str, list[Importance]]) -> Axes:
        title = method_title(method)
        return importance(found["classes"], found["domains"], titles=titles, title=title)

    for method in run.methods(None, "mc"):
        numbers, drawn = partial(_importance, run, method), partial(draw, method)
        stem = file_name("importance", method)
        yield Job("importance", stem, numbers, drawn, run.is_simulation)


def _importance(run: Quantities, method: str) -> dict[str, list[Importance]]:
    """Of the label head on MC test events; of trees that distinguish MC from target."""
    from ..inference import open_predictor

    predictor = open_predictor(run.folder, method, "source")
    rows = np.flatnonzero(run.test["mc"])[:_ROWS]
    features, event_id, weight = (
        run.scores.column("mc", name)[rows] for name in ("features", "event_id", "weight")
    )
    names, last = run.scores.features, len(run.scores.classes) - 1
    classes = evaluation.permutation_importance(
        lambda x: predictor.score(x, event_id)[:, last],
        *(features, run.truth("mc")[rows] == last, names, weight),
    )
    events = run.scores.events("mc"), run.scores.events("target")
    return {"classes": classes, "domains": evaluation.domain_importance(*events, names)}


def latent_jobs(run: Quantities) -> Iterator[Job]:
    """The feature layer of source-only beside that of each method that adapts."""
    before = "source-only"
    if before not in run.scores.methods:
        return
    plane = cache(partial(embed, run.scores))  # source-only's is in every figure
    draw = partial(latent, classes=run.palette, data_name=run.target_name)

    def numbers(method: str, kind: Kind) -> dict[str, Embedding] | None:
        planes = {name: plane(name, kind=kind) for name in (before, method)}
        known = {name: one for name, one in planes.items() if one is not None}
        return known if len(known) == len(planes) else None

    for method in (m for m in run.methods(None, "mc") if m != before):
        for kind in EMBEDDINGS:
            stem = file_name("latent", kind, method)
            yield Job("latent", stem, partial(numbers, method, kind), draw, run.is_simulation)
