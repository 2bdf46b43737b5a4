"""Loss curves, with the error of the domain classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..axes.frame import finish, new_axes
from ..axes.legend import GUIDE
from ..axes.styles import banded, method_look, method_title, scaled

if TYPE_CHECKING:
    from ...evaluation.curves import Band, LearningCurves


def _draw(
    ax: Axes, x: NDArray[np.intp], band: Band, colour: str, dashes: Any, *, spread: bool
) -> None:
    if not np.isfinite(band.mean).any():
        return
    ax.plot(x, band.mean, color=colour, linestyle=dashes, marker="o" if len(x) == 1 else "")
    if spread and np.any(band.spread > 0):
        low, high = band.mean - band.spread, band.mean + band.spread
        ax.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)


def _draw_domain(ax: Axes, curves: Mapping[str, LearningCurves], looks: Mapping[str, str]) -> None:
    ax.axhline(0.5, color="black", linestyle=":", linewidth=scaled(1.2), gid=GUIDE)
    for method, curve in curves.items():
        if method != "oracle":  # its two domains are the same events
            spread = method in banded(list(curves))
            _draw(ax, curve.epoch, curve.domain_error, looks[method], "-", spread=spread)
    ax.set_ylim(0.0, 0.62)
    ax.set_yticks([0.0, 0.25, 0.5])
    ax.set_ylabel("Domain error", loc="center")
    steered = {m: c for m, c in curves.items() if np.nan_to_num(c.grl).max() > 0}
    if not steered:
        return
    right = ax.twinx()
    for method, curve in steered.items():
        right.plot(
            curve.epoch, curve.grl, color=looks[method], linestyle="-.", linewidth=scaled(1.4)
        )
    largest = max(float(np.nanmax(curve.grl)) for curve in steered.values())
    right.set_ylim(0.0, largest * 0.62 / 0.5)  # the largest λ lies on the line of the error 0.5
    right.set_yticks([0.0, largest / 2, largest], ["", f"{largest / 2:.3g}", f"{largest:.3g}"])
    right.set_ylabel(r"$\lambda$ (dash-dotted)", loc="center")
    right.minorticks_off()
    ax.tick_params(axis="y", which="both", right=False)


def loss(
    curves: Mapping[str, LearningCurves],
    *,
    ax: Axes | None = None,
    domain_ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Label loss of every method (mean and spread over its members), train and validation.

    A band is drawn where members differ, of two methods at most. The domain classifier's error and
    λ go to ``domain_ax``, which a new figure has; with ``ax`` alone, nowhere.
    """
    if ax is None:
        ax, domain_ax = new_axes((2.0, 1.0), height=6.6)
    looks = {method: look[0] for method, look in method_look(list(curves)).items()}
    for method, curve in curves.items():
        spread = method in banded(list(curves))
        _draw(ax, curve.epoch, curve.train, looks[method], "-", spread=spread)
        _draw(ax, curve.epoch, curve.validation, looks[method], "--", spread=spread)
        ax.plot([], [], color=looks[method], label=method_title(method))
    for dashes, what in (("-", "train"), ("--", "validation")):
        ax.plot([], [], color="black", linestyle=dashes, label=what)
    epochs = np.concatenate([curve.epoch for curve in curves.values()])
    if np.ptp(epochs) > 0:
        ax.set_xlim(float(epochs.min()), float(epochs.max()))
    ax.margins(y=0.08)
    ax.autoscale(axis="y")
    ax.set_ylabel("Label loss")
    bottom = ax if domain_ax is None else domain_ax
    if domain_ax is not None:
        _draw_domain(domain_ax, curves, looks)
    bottom.set_xlabel("Epoch")
    bottom.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    finish(ax, title)
    return ax
