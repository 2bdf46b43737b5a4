"""Efficiencies against a variable, calibration, and importance of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ..axes.frame import few_ticks, finish, name_ticks, new_axes, take_out_exponent
from ..axes.legend import GUIDE, ceiling
from ..axes.styles import MARKERS, method_look, method_title, scaled

if TYPE_CHECKING:
    from ...evaluation import EfficiencyProfile, Importance
    from ...stats import CalibrationCurve

Floats = NDArray[np.float64]

_LABEL, _DOMAIN = "#5b6270", "#b9ac70"  # neither is a class or a method
_ROOM = 230.0  # points of height that the bars of all features have at least, below the legend
_MOST = 12  # features whose importance is shown


def efficiency(
    profiles: Mapping[str, EfficiencyProfile],
    name: str,
    *,
    unit: str = "",
    what: str = "Efficiency",
    title: str = "",
    log: bool = False,
    rejection: bool = False,
    level: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Efficiency of each method, or of each domain, bin by bin of a variable.

    ``profiles`` come from :func:`hepdann.evaluation.efficiency_profile`, by method or by what the
    legend shall say; ``what`` labels the y axis; ``rejection`` shows 1/efficiency; ``level`` is a
    reference line: the efficiency that the working point is named by.
    """
    ax = ax or new_axes()[0]
    looks = method_look(list(profiles))
    if level is not None:
        ax.axhline(level, color="black", linewidth=scaled(1.0), linestyle=":", gid=GUIDE)
    largest, smallest = 0.0, np.inf
    for number, (method, profile) in enumerate(profiles.items()):
        value, error = _values(profile, rejection)
        middle = 0.5 * (profile.edges[1:] + profile.edges[:-1])
        half = 0.5 * np.diff(profile.edges)
        known = np.isfinite(value)
        # beside one another, each within its bin however narrow that is
        aside = np.minimum(0.008 * len(profiles) * (profile.edges[-1] - profile.edges[0]), half)
        offset = aside * ((number + 0.5) / len(profiles) - 0.5)
        ax.errorbar(
            (middle + offset)[known],
            value[known],
            yerr=error[known],
            xerr=[(half + offset)[known], (half - offset)[known]],
            elinewidth=scaled(1.3),
            fmt=MARKERS[number % len(MARKERS)],
            markersize=scaled(4.5),
            color=looks[method][0],
            label=method_title(method),
        )
        largest = max(largest, float((value + error)[known].max(initial=0.0)))
        smallest = min(smallest, float(value[known & (value > 0)].min(initial=np.inf)))
    edges = next(iter(profiles.values())).edges
    ax.set_xlim(edges[0], edges[-1])
    if log:
        ax.set_yscale("log")
        smallest = smallest if np.isfinite(smallest) else 0.1
        ax.set_ylim(smallest / 3, largest * 2 if rejection else min(largest * 2 or 1.0, 1.0))
        few_ticks(ax.yaxis)
    else:
        ax.set_ylim(0.0, min(largest * 1.1 or 1.0, 1.0))
    if not rejection:
        ceiling(ax, 1.0)
    label = f"{name} [{unit}]" if unit else name
    take_out_exponent(ax.xaxis, label, float(np.abs(edges).max()))
    ax.set_ylabel(what)
    finish(ax, title)
    return ax


def _values(profile: EfficiencyProfile, rejection: bool) -> tuple[Floats, Floats]:
    """Value and error of the efficiency, or of its inverse."""
    if not rejection:
        return profile.value, profile.error
    safe = np.where(profile.value > 0, profile.value, np.nan)
    return 1 / safe, profile.error / safe**2


def calibration(
    curves: Mapping[str, CalibrationCurve],
    *,
    signal: str = "signal",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Share of signal among the events of each score; a calibrated score lies on the diagonal.

    ``curves`` are those of :func:`hepdann.stats.calibration_curve`, by method.
    """
    ax = ax or new_axes()[0]
    ax.plot([0, 1], [0, 1], color="black", linewidth=scaled(1.0), linestyle=":", gid=GUIDE)
    looks = method_look(list(curves))
    for method, curve in curves.items():
        known = np.isfinite(curve.signal)
        colour, dashes = looks[method]
        figure = curve.expected
        text = rf"{method_title(method)}: {figure.value:.3f} $\pm$ {figure.error:.3f}"
        ax.plot(curve.score[known], curve.signal[known], color=colour, linestyle=dashes)
        ax.errorbar(
            curve.score[known],
            curve.signal[known],
            yerr=curve.error[known],
            fmt="o",
            markersize=scaled(4.5),
            color=colour,
            label=text,
        )
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(0.0, 1.0)
    ceiling(ax)
    ax.set_xlabel(f"Mean {signal} score")
    ax.set_ylabel(f"Share of {signal}")
    head = "Expected calibration error:"
    finish(ax, f"{title}\n{head}" if title else head)
    return ax


def importance(
    label: Sequence[Importance],
    domain: Sequence[Importance] = (),
    *,
    titles: Mapping[str, str] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Loss of AUC when a feature is shuffled, for classes and for the domain; of twelve at most.

    ``label`` is what :func:`hepdann.evaluation.permutation_importance` gives of the label head, the
    most important first; ``domain`` the same of a classifier of the domains: which inputs carry the
    mismodelling. ``titles`` are those of the features.
    """
    ax = ax or new_axes()[0]
    features = list(label)[:_MOST]
    carries = {one.name: one for one in domain}
    names = [one.name for one in features]
    height = 0.38 if domain else 0.7
    rows = np.arange(len(features))[::-1]
    bars = [(features, height / 2 if domain else 0.0, _LABEL, "classes")]
    if domain:
        bars += [([carries[name] for name in names], -height / 2, _DOMAIN, "MC against target")]
    for listed, aside, colour, what in bars:
        losses, errors = [one.loss for one in listed], [one.error for one in listed]
        ax.barh(rows + aside, losses, height, xerr=errors, color=colour, label=what)
    ax.axvline(0.0, color="black", linewidth=scaled(1.0), gid=GUIDE)
    known = titles or {}
    shown = [known.get(name, name) for name in names]
    name_ticks(ax.yaxis, rows.tolist(), shown, scaled(_ROOM / max(len(names), 1)))
    ax.tick_params(axis="y", which="both", length=0)
    ax.set_ylim(-0.6, len(features) - 0.4)
    ax.set_xlabel("Loss of AUC when shuffled")
    finish(ax, f"{title}\nTelling apart:" if title else "Telling apart:")
    return ax
