"""Figures of a diagnosis: which features differ, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from ...config import PlotConfig
from ..axes.frame import lay_out, new_axes, save
from ..axes.label import label_as
from ..axes.legend import GUIDE
from ..axes.styles import readable, style
from ..jobs import distinct_names, file_name
from .stacks import data_mc

if TYPE_CHECKING:
    from ...evaluation import DataMC
    from ...stats import FeatureShift

_MOST = 25  # features in the overview
_DIFFERS, _AGREES = "#d1495b", "#8d99ae"


def feature_shifts(
    features: Sequence[FeatureShift],
    *,
    titles: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """How far each feature differs between MC and data, the largest difference on top.

    The bars are Kolmogorov-Smirnov distances, beside them the Wasserstein distance in σ of MC.

    Args:
        features: from :func:`hepdann.evaluation.diagnose`, in the order to show them.
        titles: what a feature is called; by default its name.
        ax: where to draw; by default a new figure.

    Returns:
        The axes.
    """
    shown = [f for f in features if np.isfinite(f.ks)][:_MOST]
    if ax is None:
        (ax,) = new_axes(height=max(3.5, 2.0 + 0.45 * len(shown)))
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
    comparisons: Mapping[str, tuple[DataMC, bool]],
    folder: str | Path,
    *,
    titles: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    config: PlotConfig | None = None,
) -> list[Path]:
    """Draw the overview, and data against MC in some features.

    Args:
        features: all features, in the order to show them.
        comparisons: of those to draw, from :func:`hepdann.evaluation.compare_feature`.
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
    with style(look.style, look.size):
        ax = feature_shifts(features, titles=titles)
        made += _save(ax, look, target / "feature_shifts")
        stems = distinct_names([file_name("data_mc", name) for name in comparisons])
        for stem, (name, (numbers, folded)) in zip(stems, comparisons.items(), strict=True):
            shown = readable(titles.get(name) or name)
            ax = data_mc(numbers, shown, unit=readable(units.get(name, "")), folded=folded)
            made += _save(ax, look, target / stem)
    return made


def _save(ax: Axes, look: PlotConfig, stem: Path) -> list[Path]:
    label_as(ax, look)
    return save(ax, stem, look.formats)
