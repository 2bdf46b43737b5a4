"""Figures of a calibration: data against MC before and after, and how sure its parameters are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from ..config import PlotConfig
from .axes.frame import finish, new_axes, save, take_out_exponent
from .axes.label import label_as
from .axes.styles import readable, style
from .figures.stacks import data_mc
from .jobs import distinct_names, file_name

if TYPE_CHECKING:
    from ..calibration import Profile
    from ..evaluation import DataMC


def distance_profile(profile: Profile, *, ax: Axes | None = None) -> Axes:
    """The distance between MC and data against one parameter; the fitted value with its error.

    Args:
        profile: of :class:`hepdann.calibration.CalibrationReport`.
        ax: where to draw; by default a new figure.

    Returns:
        The axes.
    """
    if ax is None:
        (ax,) = new_axes()
    value, error = profile.best.value, profile.best.error
    ax.axvspan(value - error, value + error, color="#8d99ae", alpha=0.3, label="standard error")
    digits = max(0, 1 - math.floor(math.log10(error))) if error > 0 else 4
    ax.axvline(value, color="#8d99ae", label=f"{value:.{digits}f} ± {error:.{digits}f}")
    ax.plot(profile.values, profile.distance, color="#d1495b", marker="o", markersize=4)
    ax.set_xlabel(readable(profile.name))
    largest = float(np.nanmax(profile.distance))
    take_out_exponent(ax.yaxis, "Squared distance of MC and data", largest)
    ax.legend()
    finish(ax)
    return ax


def plot_calibration(
    profiles: Sequence[Profile],
    comparisons: Mapping[str, tuple[tuple[DataMC, bool], tuple[DataMC, bool]]],
    folder: str | Path,
    *,
    titles: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    config: PlotConfig | None = None,
) -> list[Path]:
    """Draw data against MC in each feature, before and after, and the profiles of parameters.

    Args:
        profiles: of the parameters of the map.
        comparisons: for each feature, from :func:`hepdann.evaluation.compare_feature`: before the
            calibration, and after it.
        folder: where to; made if it is missing.
        titles: what features are called.
        units: their units.
        config: how figures look.

    Returns:
        The files.
    """
    look, titles, units = config or PlotConfig(), titles or {}, units or {}
    target = Path(folder)
    made: list[Path] = []

    def keep(ax: Axes, stem: str) -> None:
        label_as(ax, look)
        made.extend(save(ax, target / stem, look.formats))

    with style(look.style, look.size):
        stems = distinct_names([file_name("data_mc", name) for name in comparisons])
        for stem, (name, pair) in zip(stems, comparisons.items(), strict=True):
            shown, unit = readable(titles.get(name) or name), readable(units.get(name, ""))
            for when, (numbers, folded) in zip(("before", "after"), pair, strict=True):
                title = f"{when} the calibration"
                ax = data_mc(numbers, shown, unit=unit, folded=folded, title=title, tests=("chi2",))
                keep(ax, f"{stem}_{when}")
        stems = distinct_names([file_name("profile", profile.name) for profile in profiles])
        for stem, profile in zip(stems, profiles, strict=True):
            keep(distance_profile(profile), stem)
    return made
