"""What a run's scores tell of its nuisances: 1/JSD against rejection, shapes, mean scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..evaluation.nuisances import BEST, PER_BIN, RAW, nuisances_of
from .axes.frame import few_ticks, finish, new_axes
from .axes.styles import MARKERS, method_look, method_title, scaled
from .jobs import Job, file_name
from .quantities import Quantities


def nuisance_jobs(run: Quantities) -> Iterator[Job]:
    """The figures of each nuisance; none of a run without."""
    if not run.config.train.nuisance:
        return
    trained = run.config.train.methods
    known = [name for name in run.scores.methods if name == RAW or name in trained]
    every = [*known, *([BEST, PER_BIN] if RAW in known else [])]
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
            yield Job("nuisance", file_name("nuisance", one.name, which), numbers, draw)


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
