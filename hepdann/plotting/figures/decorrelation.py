"""What scores tell of a nuisance: shape of the background, mean score, 1/JSD against rejection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..axes.frame import finish, new_axes
from ..axes.styles import method_look, method_title, scaled

_MARKERS = "os^vDP*X"


def divergence(numbers: Mapping[str, Sequence[Mapping[str, Any]]], name: str) -> Axes:
    """1/JSD of the background's nuisance against background rejection, a point a cut.

    Args:
        numbers: by method the cuts of :meth:`hepdann.evaluation.nuisances.Nuisance.figures`.
        name: of the nuisance.

    Returns:
        The axes; up and to the right is better. The dotted line is what a score that tells nothing
        would show with so many events.
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
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=scaled(5.0),
            label=method_title(method),
        )
        floors |= {c["rejection"]: 1 / c["floor"] for c in known if c["floor"]}
    if floors:
        x, y = zip(*sorted(floors.items()), strict=True)
        ax.plot(
            x, y, color="black", linestyle=":", linewidth=scaled(1.2), label="statistical limit"
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(NullFormatter())
    low, high = ax.get_xlim()
    if high / low < 100:
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel("Background rejection")
    ax.set_ylabel(f"1 / JSD of {name}")
    efficiencies = ", ".join(f"{c['efficiency']:.0%}" for c in next(iter(numbers.values())))
    finish(ax, f"signal efficiency {efficiencies}")
    return ax


def mean_score(
    numbers: Mapping[str, Mapping[str, Any]], name: str, *, unit: str = "", title: str = ""
) -> Axes:
    """Mean score of the events that count in bins of the nuisance, a line a method.

    Args:
        numbers: by method, of :meth:`hepdann.evaluation.nuisances.Nuisance.profile`.
        name: of the nuisance.
        unit: of it.
        title: heads the legend.

    Returns:
        The axes; flat is independent.
    """
    (ax,) = new_axes()
    looks = method_look(list(numbers))
    for method, profile in numbers.items():
        colour, dashes = looks[method]
        edges, values = np.asarray(profile["edges"]), np.asarray(profile["mean"])
        ax.stairs(values, edges, color=colour, linestyle=dashes, linewidth=scaled(1.6),
                  baseline=None, label=method_title(method))  # fmt: skip
    ax.set_xlabel(f"{name} [{unit}]" if unit else name)
    ax.set_ylabel("Mean score")
    finish(ax, title)
    return ax


def shape(
    numbers: Mapping[str, Mapping[str, Any]], name: str, *, unit: str = "", title: str = ""
) -> Axes:
    """The background's nuisance before a cut, and after it for each method; areas are 1.

    Args:
        numbers: by method, of :meth:`hepdann.evaluation.nuisances.Nuisance.shapes`.
        name: of the nuisance.
        unit: of it.
        title: heads the legend: the cut.

    Returns:
        The axes.
    """
    (ax,) = new_axes()
    looks = method_look(list(numbers))
    first = next(iter(numbers.values()))
    edges = np.asarray(first["edges"])
    ax.stairs(first["before"], edges, color="black", fill=True, alpha=0.15, label="before the cut")
    for method, one in numbers.items():
        colour, dashes = looks[method]
        ax.stairs(one["after"], edges, color=colour, linestyle=dashes, linewidth=scaled(1.6),
                  label=method_title(method))  # fmt: skip
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0)
    ax.set_xlabel(f"{name} [{unit}]" if unit else name)
    ax.set_ylabel("Share of the background")
    finish(ax, title)
    return ax
