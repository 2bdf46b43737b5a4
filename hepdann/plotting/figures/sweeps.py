"""Figures against t, λ or the epoch, a line a method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from ..axes.frame import finish, new_axes, whole_ticks
from ..axes.legend import GUIDE, ceiling
from ..axes.styles import MARKERS, banded, method_look, method_title, scaled

if TYPE_CHECKING:
    from ...evaluation.curves import Band, LearningCurves, Sweep

_ZOOM = (-0.04, 0.012)  # of the panel that shows how far below the oracle a method stays


def sweep(
    sweeps: Mapping[str, Sweep],
    figure: str,
    along: Literal["t", "lambda"],
    *,
    below: Mapping[str, Sweep] | None = None,
    level: tuple[str, float] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    below_ax: Axes | None = None,
) -> Axes:
    """A line a method; the standard deviation over networks of two is a band, of others bars.

    A sweep without x (NaN) is drawn as a level across; ``level`` is name and height of a reference
    line, e.g. the majority class. ``below`` is the same less the oracle, for a panel of its own
    that zooms on the best: of a new figure, or ``below_ax``.
    """
    if ax is None:
        ax, *more = new_axes((1.7, 1.0), height=7.0) if below else new_axes()
        below_ax = more[0] if more else None
    looks = method_look(list(sweeps))
    ticks = sorted({float(x) for s in sweeps.values() for x in s.x if np.isfinite(x)})
    span = _span(ticks, along)
    if level is not None:
        name, height = level
        ax.axhline(height, color="black", linewidth=scaled(1.2), linestyle=(0, (1, 2)), label=name)
    _lines(ax, sweeps, looks, span, labelled=True)
    ax.set_ylabel(figure)
    bottom = ax
    if below_ax is not None and below:
        below_ax.axhline(0.0, color="black", linewidth=scaled(1.0), linestyle=":", gid=GUIDE)
        _lines(below_ax, below, looks, span, labelled=False)
        below_ax.set_ylim(*_ZOOM)
        below_ax.set_ylabel("minus oracle", loc="center")
        bottom = below_ax
    _x_axis(bottom, ticks, along, span)
    ax.margins(y=0.06)
    ax.autoscale(axis="y")
    low, high = ax.get_ylim()
    largest = max(
        (float(np.nanmax(s.mean + s.std, initial=0.0)) for s in sweeps.values()), default=0
    )
    if largest <= 1.0:  # shares end at 1
        ax.set_ylim(low, min(high, 1.0))
        ceiling(ax, 1.0)
    finish(ax, title)
    return ax


def _lines(
    ax: Axes,
    sweeps: Mapping[str, Sweep],
    looks: Mapping[str, tuple[str, object]],
    span: tuple[float, float],
    *,
    labelled: bool,
) -> None:
    for number, (method, line) in enumerate(sweeps.items()):
        colour, dashes = looks[method]
        x, mean, std = line.x, line.mean, line.std
        level = not np.isfinite(x).any()
        if level:
            x, mean, std = (np.array(v) for v in (span, np.repeat(mean, 2), np.repeat(std, 2)))
        ax.plot(
            x,
            mean,
            color=colour,
            linestyle=dashes,
            marker="" if level else MARKERS[number % len(MARKERS)],
            label=method_title(method) if labelled else None,
        )
        if not np.any(std > 0):
            continue
        if level or method in banded(list(sweeps)):
            ax.fill_between(x, mean - std, mean + std, color=colour, alpha=0.2, linewidth=0)
        else:
            ax.errorbar(x, mean, yerr=std, fmt="none", color=colour, elinewidth=scaled(1.3))


def _span(ticks: list[float], along: str) -> tuple[float, float]:
    if not ticks:
        return 0.0, 1.0
    low, high = ticks[0], ticks[-1]
    if along == "lambda":
        return (low / 1.4, high * 1.4) if low > 0 else (0.0, high * 1.4)
    room = 0.04 * (high - low) or 0.5
    return low - room, high + room


def _x_axis(ax: Axes, ticks: list[float], along: str, span: tuple[float, float]) -> None:
    if along == "lambda" and ticks and ticks[-1] > 0:
        if ticks[0] > 0:
            ax.set_xscale("log")
        else:
            ax.set_xscale("symlog", linthresh=next(t for t in ticks if t > 0))
    ax.set_xlim(*span)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel(r"$\lambda$" if along == "lambda" else "t (larger: smaller shift)")


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
    whole_ticks(bottom.xaxis)
    finish(ax, title)
    return ax
