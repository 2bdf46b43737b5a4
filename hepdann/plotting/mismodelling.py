"""Figures of a diagnosis and of a calibration: data against MC, features, fitted parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from ..config import PlotConfig
from .axes.frame import finish, lay_out, new_axes, take_out_exponent
from .axes.label import Album
from .axes.legend import GUIDE
from .axes.styles import readable
from .figures.stacks import data_mc
from .jobs import distinct_names, file_name

if TYPE_CHECKING:
    from ..calibration import Profile
    from ..evaluation import DataMC
    from ..stats import FeatureShift

    Compared = tuple[DataMC, bool]  # and whether the end bins hold events from outside

_MOST = 25  # features in the overview
_DIFFERS, _AGREES = "#d1495b", "#8d99ae"


def distance_profile(profile: Profile, *, ax: Axes | None = None) -> Axes:
    """The distance between MC and data against one parameter; the fitted value with its error."""
    ax = ax or new_axes()[0]
    value, error = profile.best.value, profile.best.error
    ax.axvspan(value - error, value + error, color=_AGREES, alpha=0.3, label="standard error")
    digits = max(0, 1 - math.floor(math.log10(error))) if error > 0 else 4
    ax.axvline(value, color=_AGREES, label=f"{value:.{digits}f} ± {error:.{digits}f}")
    ax.plot(profile.values, profile.distance, color=_DIFFERS, marker="o", markersize=4)
    ax.set_xlabel(readable(profile.name))
    largest = float(np.nanmax(profile.distance))
    take_out_exponent(ax.yaxis, "Squared distance of MC and data", largest)
    ax.legend()
    finish(ax)
    return ax


def plot_calibration(
    profiles: Sequence[Profile],
    comparisons: Mapping[str, tuple[Compared, Compared]],
    folder: str | Path,
    *,
    titles: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    config: PlotConfig | None = None,
) -> list[Path]:
    """Draw data against MC in each feature, before and after, and the profiles of parameters.

    ``comparisons`` holds for each feature what :func:`hepdann.evaluation.compare_feature` gives
    before the calibration, and after it.
    """
    with Album.open(folder, config) as album:
        for place, when in enumerate(("before", "after")):
            pairs = {name: pair[place] for name, pair in comparisons.items()}
            _features(album, pairs, titles or {}, units or {}, when)
        stems = distinct_names([file_name("profile", profile.name) for profile in profiles])
        for stem, profile in zip(stems, profiles, strict=True):
            album.keep(distance_profile(profile), stem)
    return album.made


def _features(
    album: Album,
    comparisons: Mapping[str, Compared],
    titles: Mapping[str, str],
    units: Mapping[str, str],
    when: str = "",
) -> None:
    """Data against MC in features, before or after a calibration if there is one."""
    stems = distinct_names([file_name("data_mc", name) for name in comparisons])
    for stem, (name, (numbers, folded)) in zip(stems, comparisons.items(), strict=True):
        title, unit = readable(titles.get(name) or name), readable(units.get(name, ""))
        note, tests = (f"{when} the calibration", ("chi2",)) if when else ("", ())
        ax = data_mc(numbers, title, unit=unit, folded=folded, title=note, tests=tests)
        album.keep(ax, f"{stem}_{when}" if when else stem)


def feature_shifts(
    features: Sequence[FeatureShift],
    *,
    titles: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """How far each feature differs between MC and data, in the order given.

    The bars are Kolmogorov-Smirnov distances, beside them the Wasserstein distance in σ of MC.
    """
    shown = [f for f in features if np.isfinite(f.ks)][:_MOST]
    ax = ax or new_axes(height=max(3.5, 2.0 + 0.45 * len(shown)))[0]
    widest = max([f.ks for f in shown], default=1.0) or 1.0
    for i, feature in enumerate(shown):
        colour = _DIFFERS if feature.differs else _AGREES
        ax.barh(i, feature.ks, 0.7, color=colour, gid=GUIDE)
        text = rf"{feature.wasserstein:.2f} $\sigma$"
        ax.text(feature.ks + 0.015 * widest, i, text, va="center", fontsize="x-small")
    key = {_DIFFERS: "differs (1 %, corrected)", _AGREES: "compatible"}
    handles = [Patch(color=colour, label=text) for colour, text in key.items()]
    ax.legend(handles=handles, loc="lower right", ncols=len(handles))
    names = titles or {}
    ax.set_yticks(range(len(shown)), [readable(names.get(f.name, f.name)) for f in shown])
    ax.tick_params(axis="y", which="both", left=False, right=False, labelsize="x-small")
    ax.minorticks_off()
    ax.set_ylim(len(shown) + 0.6, -0.6)  # a row below all bars is the legend's
    ax.set_xlim(0.0, 1.25 * widest)
    ax.set_xlabel("KS distance; Wasserstein distance beside it")
    lay_out(ax)
    return ax


def plot_diagnosis(
    features: Sequence[FeatureShift],
    comparisons: Mapping[str, Compared],
    folder: str | Path,
    *,
    titles: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    config: PlotConfig | None = None,
) -> list[Path]:
    """Draw the overview of all features, and data against MC in some.

    ``comparisons`` holds what :func:`hepdann.evaluation.compare_feature` gives for these.
    """
    with Album.open(folder, config) as album:
        album.keep(feature_shifts(features, titles=titles), "feature_shifts")
        _features(album, comparisons, titles or {}, units or {})
    return album.made
