"""Figures that judge a run: losses, calibration, correlations, importance, features, nuisances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .. import evaluation, stats
from ..evaluation import Importance
from ..evaluation.curves import learning_curves
from ..evaluation.latent import EMBEDDINGS, Embedding, Kind, embed
from ..evaluation.nuisances import BEST, PER_BIN, nuisances_of
from ..registry import SOURCE_ONLY
from ..stats import CalibrationCurve
from ..store.paths import RunPaths
from ..store.scores_reader import Domain
from .axes.frame import few_ticks, finish, new_axes
from .axes.styles import MARKERS, method_look, method_title, scaled
from .figures.matrices import correlation
from .figures.planes import latent
from .figures.profiles import calibration, importance
from .figures.sweeps import loss
from .jobs import FigureJob, file_name
from .quantities import Quantities

_ROWS = 4000  # events that are shuffled


def loss_jobs(run: Quantities) -> Iterator[FigureJob]:
    """The losses, if the run has a history."""
    path = RunPaths(run.folder).history
    if path.exists():  # the domain error is that of MC and target
        yield FigureJob("loss", "loss", lambda: learning_curves(path), loss, run.is_simulation)


def calibration_jobs(run: Quantities) -> Iterator[FigureJob]:
    """Share of signal against score."""

    def numbers(domain: Domain, index: int) -> dict[str, CalibrationCurve]:
        true, weight = run.test_truth(domain)
        label = (true == index).astype(np.intp)
        return {
            m: stats.calibration_curve(run.prediction(domain, m)[:, index], label, weight)
            for m in run.methods(None, domain)
        }

    for domain, where in run.labelled.items():
        for index, name, suffix in run.signals:
            stem, draw = file_name("calibration", domain, suffix), partial(calibration, title=where)
            given = partial(numbers, domain, index)
            yield FigureJob("calibration", stem, given, partial(draw, signal=name))


def correlation_jobs(run: Quantities) -> Iterator[FigureJob]:
    """Linear correlations of the features, and how they differ; none of a single one."""
    features = run.scores.features
    if len(features) < 2:
        return
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
        yield FigureJob(
            "correlation", f"correlation_{which}", partial(numbers, which), drawn, simulation
        )


def importance_jobs(run: Quantities) -> Iterator[FigureJob]:
    """What each feature carries, of a run that has its networks."""
    if not RunPaths(run.folder).model.exists():
        return
    titles = {feature: run.tick_title(feature) for feature in run.scores.features}

    def draw(method: str, losses: dict[str, list[Importance]]) -> Axes:
        title = method_title(method)
        return importance(losses["classes"], losses["domains"], titles=titles, title=title)

    for method in run.methods(None, "mc"):
        numbers, drawn = partial(_importance, run, method), partial(draw, method)
        stem = file_name("importance", method)
        yield FigureJob("importance", stem, numbers, drawn, run.is_simulation)


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


def latent_jobs(run: Quantities) -> Iterator[FigureJob]:
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
            yield FigureJob("latent", stem, partial(numbers, method, kind), draw, run.is_simulation)


def nuisance_jobs(run: Quantities) -> Iterator[FigureJob]:
    """The figures of each nuisance; none of a run without."""
    if not run.config.train.nuisance:
        return
    trained = run.config.train.methods
    known = [name for name in run.scores.methods if name == SOURCE_ONLY or name in trained]
    every = [*known, *([BEST, PER_BIN] if SOURCE_ONLY in known else [])]
    for one in nuisances_of(run.scores):
        name, unit = run.title(one.name)
        label = f"{name} [{unit}]" if unit else name
        figures: dict[str, tuple[Any, Any]] = {
            "": (lambda one=one: {m: one.figures(m)["cuts"] for m in every},
                 partial(divergence, name=name)),
            "shape": (lambda one=one: {m: one.shapes(m) for m in every},
                      partial(shape, label=label, title="cut that keeps 50 % of the signal")),
            "score": (lambda one=one: {m: one.profile(m) for m in known},
                      partial(mean_score, label=label)),
        }  # fmt: skip
        for which, (numbers, draw) in figures.items():
            yield FigureJob("nuisance", file_name("nuisance", one.name, which), numbers, draw)


def divergence(numbers: Mapping[str, Sequence[Mapping[str, Any]]], name: str) -> Axes:
    """1/JSD of the background's nuisance against background rejection, a point a cut.

    ``numbers`` are the cuts of :meth:`hepdann.evaluation.nuisances.Nuisance.figures` by method. Up
    and to the right is better; the dotted line is what a score that tells nothing would show with
    so many events.
    """
    (ax,) = new_axes()
    looks = method_look(list(numbers))
    floors: dict[float, float] = {}
    for number, (method, cuts) in enumerate(numbers.items()):
        known = [c for c in cuts if c["rejection"] is not None and c["inverse_jsd"] is not None]
        colour, dashes = looks[method]
        ax.plot(
            [c["rejection"] for c in known],
            [c["inverse_jsd"] for c in known],
            color=colour,
            linestyle=dashes,
            marker=MARKERS[number % len(MARKERS)],
            markersize=scaled(5.0),
            label=method_title(method),
        )
        floors |= {c["rejection"]: 1 / c["floor"] for c in known if c["floor"]}
    if floors:
        x, y = zip(*sorted(floors.items()), strict=True)
        dots: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": scaled(1.2)}
        ax.plot(x, y, label="statistical limit", **dots)
    ax.set(xscale="log", yscale="log")
    few_ticks(ax.xaxis)
    few_ticks(ax.yaxis, below=0)
    ax.set_xlabel("Background rejection")
    ax.set_ylabel(f"1 / JSD of {name}")
    efficiencies = ", ".join(f"{c['efficiency']:.0%}" for c in next(iter(numbers.values())))
    finish(ax, f"signal efficiency {efficiencies}")
    return ax


def mean_score(numbers: Mapping[str, Mapping[str, Any]], label: str) -> Axes:
    """Mean score of the events that count in bins of the nuisance, a line a method.

    Flat is independent. ``numbers`` are of :meth:`hepdann.evaluation.nuisances.Nuisance.profile`.
    """
    (ax,) = new_axes()
    _stairs(ax, numbers, "mean", baseline=None)
    ax.set(xlabel=label, ylabel="Mean score")
    finish(ax, "")
    return ax


def shape(numbers: Mapping[str, Mapping[str, Any]], label: str, *, title: str = "") -> Axes:
    """The background's nuisance before a cut, and after it for each method; areas are 1.

    ``numbers`` are of :meth:`hepdann.evaluation.nuisances.Nuisance.shapes`; ``title`` is the cut.
    """
    (ax,) = new_axes()
    first = next(iter(numbers.values()))
    edges = np.asarray(first["edges"])
    ax.stairs(first["before"], edges, color="black", fill=True, alpha=0.15, label="before the cut")
    _stairs(ax, numbers, "after", baseline=0)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0)
    ax.set(xlabel=label, ylabel="Share of the background")
    finish(ax, title)
    return ax


def _stairs(
    ax: Axes, numbers: Mapping[str, Mapping[str, Any]], key: str, baseline: float | None
) -> None:
    for method, (colour, dashes) in method_look(list(numbers)).items():
        values, edges = (np.asarray(numbers[method][name]) for name in (key, "edges"))
        ax.stairs(values, edges, color=colour, linestyle=dashes, linewidth=scaled(1.6),
                  baseline=baseline, label=method_title(method))  # fmt: skip
